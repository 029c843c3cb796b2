using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class GeluTests
{
    [Fact]
    public void Host_equals_the_definition() => UnaryLaw.Holds<Gelu.Lane>(Gelu.Definition, Close.Gelu, Close.Vanishing);

    [Fact]
    public void Apply_equals_the_host_version_over_many_pieces()
    {
        using var x = Draw.Tensor(seed: 1, 3, 70_001);
        using var y = Tensor.Empty(x.Shape);
        var expected = new float[x.Elements];
        Lanewise.Host<Gelu.Lane>(x.Span<float>(), expected);

        Gelu.Apply(x, y);

        Assert.Equal(expected, y.Span<float>().ToArray());
    }

    [Fact]
    public void Other_shapes_and_types_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3), y = Tensor.Zeros(3, 2), half = Tensor.Zeros(new Shape(2, 3), DType.F16);
        Assert.StartsWith("Gelu: y and x must", Assert.Throws<ShapeException>(() => Gelu.Apply(x, y)).Message);
        Assert.StartsWith("Gelu: x must be F32", Assert.Throws<ShapeException>(() => Gelu.Apply(half, half)).Message);
    }

    [Fact]
    public void Known_values()
    {
        // x · Φ(x), Φ from tables of the normal distribution.
        using var x = Tensor.From([0, 1, -1, 2, -3]);
        Gelu.Apply(x, x);
        double[] expected = [0, 0.84134474606854293, -0.15865525393145705, 1.9544997361036416, -0.0040496940948902770];
        Close.Assert(expected, x.Span<float>(), Close.Gelu);
    }
}
