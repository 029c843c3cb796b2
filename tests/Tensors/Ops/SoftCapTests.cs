using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class SoftCapTests
{
    [Fact]
    public void The_hyperbolic_tangent_equals_its_definition() =>
        UnaryLaw.Holds<SoftCap.Tanh>((x, y) => SoftCap.Definition(x, 1, y), relative: 0, absolute: Close.Tanh);

    [Theory, InlineData(4), InlineData(50)]
    public void Apply_equals_the_definition(float cap)
    {
        float[] values = [.. Draw.Normal(1000, seed: 1, deviation: 40), .. Draw.Extremes()];
        var expected = new double[values.Length];
        SoftCap.Definition(values, cap, expected);

        using var x = Tensor.From(values);
        SoftCap.Apply(x, cap, x);

        Close.Assert(expected, x.Span<float>(), relative: 0, Close.Tanh * cap);
    }

    [Fact]
    public void Other_shapes_and_types_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3), y = Tensor.Zeros(3, 2), half = Tensor.Zeros(new Shape(2, 3), DType.F16);
        Assert.Throws<ShapeException>(() => SoftCap.Apply(x, 1, y));
        Assert.Throws<ShapeException>(() => SoftCap.Apply(half, 1, half));
    }
}
