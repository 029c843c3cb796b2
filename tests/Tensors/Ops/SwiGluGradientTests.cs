using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class SwiGluGradientTests
{
    [Fact]
    public void The_definition_is_the_slope_of_swiglu()
    {
        float[] gate = FiniteDifferences.Draw(101, seed: 1), up = FiniteDifferences.Draw(101, seed: 2), dy = FiniteDifferences.Draw(101, seed: 3);
        var (y, dgate, dup) = (new double[101], new double[101], new double[101]);
        SwiGluGradient.Definition(gate, up, dy, dgate, dup);
        FiniteDifferences.Assert(FiniteDifferences.Of(gate, Loss), dgate, "gate");
        FiniteDifferences.Assert(FiniteDifferences.Of(up, Loss), dup, "up");

        double Loss()
        {
            SwiGlu.Definition(gate, up, y);
            return y.Zip(dy, (value, slope) => value * slope).Sum();
        }
    }

    [Fact]
    public void The_slope_of_silu_equals_the_definition()
    {
        for (var length = 1; length <= 256; length++)
            BinaryLaw.Check<SwiGluGradient.SiluLane>(Gate, Draw.Normal(length, length, deviation: 3), Draw.Normal(length, -length),
                Close.SwiGluGradient, Close.SwiGluGradientTail);
        float[] sweep = [.. Enumerable.Range(-40_000, 80_001).Select(i => i / 400f)];
        BinaryLaw.Check<SwiGluGradient.SiluLane>(Gate, sweep, [.. sweep.Select(_ => 1f)], Close.SwiGluGradient, Close.SwiGluGradientTail);
        float[] extremes = [.. Draw.Extremes().Where(float.IsFinite), float.NaN];
        BinaryLaw.Check<SwiGluGradient.SiluLane>(Gate, extremes, [.. extremes.Select(_ => -2f)], Close.SwiGluGradient, Close.SwiGluGradientTail);

        static void Gate(ReadOnlySpan<float> x, ReadOnlySpan<float> dy, Span<double> result)
        {
            var ones = new float[x.Length];
            ones.AsSpan().Fill(1);
            SwiGluGradient.Definition(x, ones, dy, result, new double[x.Length]);
        }
    }

    [Fact]
    public void Apply_equals_the_definition_and_may_write_over_up_and_dy()
    {
        using Tensor gate = Draw.Tensor(1, 3, 70_001), up = Draw.Tensor(2, 3, 70_001), dy = Draw.Tensor(3, 3, 70_001);
        using Tensor dgate = Tensor.Empty(gate.Shape), dup = Tensor.Empty(gate.Shape);
        var (expectedGate, expectedUp) = (new double[gate.Elements], new double[gate.Elements]);
        SwiGluGradient.Definition(gate.Span<float>(), up.Span<float>(), dy.Span<float>(), expectedGate, expectedUp);
        SwiGluGradient.Apply(gate, up, dy, dgate, dup);
        Close.Assert(expectedGate, dgate.Span<float>(), Close.SwiGluGradient, Close.SwiGluGradientTail);
        Close.Assert(expectedUp, dup.Span<float>(), Close.SwiGlu);
        using Tensor overUp = up.Clone(), overDy = dy.Clone();
        SwiGluGradient.Apply(gate, overUp, dy, dgate, overUp);
        SwiGluGradient.Apply(gate, up, overDy, dgate, overDy);
        Assert.Equal(dup.Span<float>().ToArray(), overUp.Span<float>().ToArray());
        Assert.Equal(dup.Span<float>().ToArray(), overDy.Span<float>().ToArray());
    }

    [Fact]
    public void Other_shapes_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3), other = Tensor.Zeros(3, 2);
        for (var wrong = 1; wrong < 5; wrong++)
        {
            Tensor[] arguments = [x, x, x, x, x];
            arguments[wrong] = other;
            Assert.Throws<ShapeException>(() => SwiGluGradient.Apply(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]));
        }
    }
}
