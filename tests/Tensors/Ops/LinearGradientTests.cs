using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class LinearGradientTests
{
    [Fact]
    public void The_definition_is_the_slope_of_the_product()
    {
        using Tensor weight = Draw.Tensor(1, 5, 8), x = Tensor.From(FiniteDifferences.Draw(24, 2), 3, 8), dy = Draw.Tensor(3, 3, 5);
        var (y, dx) = (new double[15], new double[24]);
        LinearGradient.Definition(dy, new DenseWeight(weight), dx);
        FiniteDifferences.Assert(FiniteDifferences.Of(x.Span<float>(), () =>
        {
            MatMul.Definition(x, new DenseWeight(weight), y);
            return y.Zip(dy.Span<float>().ToArray(), (value, slope) => value * slope).Sum();
        }), dx, "x");
    }

    [Fact]
    public void Every_level_equals_the_definition()
    {
        foreach (var (tokens, outputs, inputs) in (ReadOnlySpan<(int, int, int)>)
            [(1, 1, 1), (1, 3, 2), (2, 7, 33), (13, 257, 31), (17, 100, 64), (30, 513, 96), (5, 40, 1030), (520, 9, 34)])
            foreach (var type in (DType[])[DType.F32, DType.BF16])
                Check(tokens, outputs, inputs, type);
    }

    [Fact]
    public void It_can_be_added_to_what_is_there_and_no_outputs_give_zeros()
    {
        using Tensor weight = Draw.Tensor(1, 300, 70), dy = Draw.Tensor(2, 20, 300), once = Tensor.Empty(20, 70);
        LinearGradient.Apply(dy, new DenseWeight(weight), once);
        using var twice = once.Clone();
        LinearGradient.Apply(dy, new DenseWeight(weight), twice, add: true);
        Close.Assert([.. once.Span<float>().ToArray().Select(value => 2.0 * value)], twice.Span<float>(), 0, 1e-4);
        using Tensor none = Tensor.Zeros(0, 70), nothing = Tensor.Zeros(20, 0);
        LinearGradient.Apply(nothing, new DenseWeight(none), once);
        Assert.All(once.Span<float>().ToArray(), value => Assert.Equal(0, value));
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Tensor weight = Tensor.Zeros(3, 4), dy = Tensor.Zeros(2, 3), dx = Tensor.Zeros(2, 4), other = Tensor.Zeros(1, 4);
        var w = new DenseWeight(weight);
        Assert.Throws<ShapeException>(() => LinearGradient.Apply(dx, w, dx));
        Assert.Throws<ShapeException>(() => LinearGradient.Apply(dy, w, dy));
        Assert.Throws<ShapeException>(() => LinearGradient.Apply(dy, w, other));
    }

    static void Check(int tokens, int outputs, int inputs, DType type)
    {
        using Tensor dy = Draw.Tensor(tokens, tokens, outputs), weight = Draw.Tensor(outputs, outputs, inputs), dx = Tensor.Empty(tokens, inputs);
        var stored = new DenseWeight(type == DType.F32 ? weight : Rounded(weight));
        var expected = new double[tokens * inputs];
        LinearGradient.Definition(dy, stored, expected);
        foreach (var level in Cpu.Available)
        {
            dx.Span<float>().Fill(float.NaN);
            LinearGradient.Apply(dy, stored, dx, false, HostTarget.Default with { Level = level });
            Close.Scaled(expected, dx.Span<float>(), Close.LinearGradient, $"[{tokens}, {outputs}] x [{outputs}, {inputs}] {type} {level}");
        }
    }

    static Tensor Rounded(Tensor weight)
    {
        var rounded = Tensor.Empty(weight.Shape, DType.BF16);
        Nibble.Tensors.Convert.ToBF16(weight.Span<float>(), rounded.Span<ushort>());
        return rounded;
    }
}
