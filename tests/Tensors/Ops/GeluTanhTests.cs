using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class GeluTanhTests
{
    [Fact]
    public void Host_equals_the_definition() => UnaryLaw.Holds<GeluTanh.Lane>(GeluTanh.Definition, Close.GeluTanh, Close.Tail);

    [Fact]
    public void Apply_equals_the_host_version_over_many_pieces()
    {
        using var x = Draw.Tensor(seed: 1, 3, 70_001);
        using var y = Tensor.Empty(x.Shape);
        var expected = new float[x.Elements];
        Lanewise.Host<GeluTanh.Lane>(x.Span<float>(), expected);

        GeluTanh.Apply(x, y);

        Assert.Equal(expected, y.Span<float>().ToArray());
    }

    [Fact]
    public void Other_shapes_and_types_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3), y = Tensor.Zeros(3, 2), half = Tensor.Zeros(new Shape(2, 3), DType.F16);
        Assert.StartsWith("GeluTanh: y and x must", Assert.Throws<ShapeException>(() => GeluTanh.Apply(x, y)).Message);
        Assert.StartsWith("GeluTanh: x must be F32", Assert.Throws<ShapeException>(() => GeluTanh.Apply(half, half)).Message);
    }

    [Fact]
    public void Differs_from_gelu_where_the_approximation_does()
    {
        // The largest difference of the two is 4.73e-4, at 2.70.
        using Tensor x = Tensor.From([2.7f]), exact = Tensor.Empty(1), approximate = Tensor.Empty(1);
        Gelu.Apply(x, exact);
        GeluTanh.Apply(x, approximate);
        Assert.InRange(Math.Abs(exact.Row(0)[0] - approximate.Row(0)[0]), 4.72e-4, 4.74e-4);
    }
}
