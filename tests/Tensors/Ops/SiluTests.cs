using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class SiluTests
{
    [Fact]
    public void Host_equals_the_definition() => UnaryLaw.Holds<Silu.Lane>(Silu.Definition, Close.Silu, Close.Vanishing);

    [Fact]
    public void Apply_equals_the_host_version_over_many_pieces()
    {
        using var x = Draw.Tensor(seed: 1, 3, 70_001);
        using var y = Tensor.Empty(x.Shape);
        var expected = new float[x.Elements];
        Lanewise.Host<Silu.Lane>(x.Span<float>(), expected);

        Silu.Apply(x, y);

        Assert.Equal(expected, y.Span<float>().ToArray());
    }

    [Fact]
    public void Other_shapes_and_types_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3), y = Tensor.Zeros(3, 2), half = Tensor.Zeros(new Shape(2, 3), DType.F16);
        Assert.StartsWith("Silu: y and x must", Assert.Throws<ShapeException>(() => Silu.Apply(x, y)).Message);
        Assert.StartsWith("Silu: x must be F32", Assert.Throws<ShapeException>(() => Silu.Apply(half, half)).Message);
    }

    [Fact]
    public void Known_values()
    {
        // 1 / (1 + e^-1), and -2 / (1 + e^2).
        using var x = Tensor.From([0, 1, -2, 100]);
        Silu.Apply(x, x);
        Close.Assert([0, 0.73105857863000490, -0.23840584404423515, 100], x.Span<float>(), Close.Silu);
    }
}
