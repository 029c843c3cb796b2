using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class ElementwiseTests
{
    [Fact]
    public void Every_operation_is_exact_at_every_length()
    {
        for (var length = 1; length <= 256; length++)
            Check(Draw.Normal(length, length), Draw.Normal(length, -length));
        Check(Draw.Normal(300_001, seed: 1), Draw.Normal(300_001, seed: 2));
        Check(Draw.Ties(77, seed: 1), Draw.Ties(77, seed: 2));
        foreach (var other in Draw.Extremes())
            Check(Draw.Extremes(), [.. Draw.Extremes().Select(_ => other)]);
    }

    [Fact]
    public void Other_shapes_and_types_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3), y = Tensor.Zeros(3, 2), half = Tensor.Zeros(new Shape(2, 3), DType.F16);
        Assert.Throws<ShapeException>(() => Elementwise.Add(x, y, x));
        Assert.Throws<ShapeException>(() => Elementwise.AddInPlace(x, y));
        Assert.Throws<ShapeException>(() => Elementwise.Multiply(x, x, y));
        Assert.Throws<ShapeException>(() => Elementwise.Scale(half, 2, half));
    }

    // One rounded operation per element: the scalar operation is the definition.
    static void Check(float[] first, float[] second)
    {
        using Tensor x = Tensor.From(first), y = Tensor.From(second), result = Tensor.Empty(first.Length);
        Elementwise.Add(x, y, result);
        Assert.Equal(first.Zip(second, (a, b) => a + b), result.Span<float>().ToArray());
        Elementwise.Multiply(x, y, result);
        Assert.Equal(first.Zip(second, (a, b) => a * b), result.Span<float>().ToArray());
        Elementwise.Scale(x, second[0], result);
        Assert.Equal(first.Select(a => a * second[0]), result.Span<float>().ToArray());
        Elementwise.AddInPlace(x, y);
        Assert.Equal(first.Zip(second, (a, b) => a + b), x.Span<float>().ToArray());
    }
}
