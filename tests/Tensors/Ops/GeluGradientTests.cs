using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class GeluGradientTests
{
    [Fact]
    public void The_definition_is_the_slope_of_gelu()
    {
        float[] x = FiniteDifferences.Draw(200, seed: 1), dy = FiniteDifferences.Draw(200, seed: 2);
        var (y, dx) = (new double[x.Length], new double[x.Length]);
        GeluGradient.Definition(x, dy, dx);
        FiniteDifferences.Assert(FiniteDifferences.Of(x, () =>
        {
            Gelu.Definition(x, y);
            return y.Zip(dy, (value, slope) => value * slope).Sum();
        }), dx, "gelu");
    }

    [Fact]
    public void Host_equals_the_definition()
    {
        for (var length = 1; length <= 256; length++)
            BinaryLaw.Check<GeluGradient.Lane>(GeluGradient.Definition, Draw.Normal(length, length, deviation: 3), Draw.Normal(length, -length),
                Close.GeluGradient, Close.GeluGradientTail);
        float[] sweep = [.. Enumerable.Range(-40_000, 80_001).Select(i => i / 2000f)];
        BinaryLaw.Check<GeluGradient.Lane>(GeluGradient.Definition, sweep, [.. sweep.Select(_ => 1f)], Close.GeluGradient, Close.GeluGradientTail);
        float[] extremes = [.. Draw.Extremes().Where(float.IsFinite), float.NaN];
        BinaryLaw.Check<GeluGradient.Lane>(GeluGradient.Definition, extremes, [.. extremes.Select(_ => -2f)], Close.GeluGradient, Close.GeluGradientTail);
    }

    [Fact]
    public void Apply_may_write_over_either_input_and_refuses_other_shapes()
    {
        using Tensor x = Draw.Tensor(1, 3, 70_001), dy = Draw.Tensor(2, 3, 70_001), dx = Tensor.Empty(x.Shape), other = Tensor.Zeros(70_001, 3);
        GeluGradient.Apply(x, dy, dx);
        using Tensor first = x.Clone(), second = dy.Clone();
        GeluGradient.Apply(first, dy, first);
        GeluGradient.Apply(x, second, second);
        Assert.Equal(dx.Span<float>().ToArray(), first.Span<float>().ToArray());
        Assert.Equal(dx.Span<float>().ToArray(), second.Span<float>().ToArray());
        Assert.Throws<ShapeException>(() => GeluGradient.Apply(x, other, dx));
        Assert.Throws<ShapeException>(() => GeluGradient.Apply(x, dy, other));
    }
}
