using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Tests.Tensors.Ops;

public sealed class MatMulGramTests
{
    [Theory]
    [InlineData(1, 3)]
    [InlineData(300, 1)]
    [InlineData(2, 17)]
    [InlineData(40, 31)]
    [InlineData(257, 33)]
    [InlineData(300, 70)]
    [InlineData(20, 601)]
    public void Gram_adds_the_definition_and_is_exactly_symmetric(int tokens, int width)
    {
        // H = xᵀ·x is the product of xᵀ [in, T] with the weight xᵀ [in, T].
        var transposed = new MatMulCase(width, width, tokens, change: (x, weight) => weight.AsSpan().CopyTo(x.Span<float>()));
        var x = Tensor.Empty(tokens, width);
        for (var t = 0; t < tokens; t++)
            for (var i = 0; i < width; i++)
                x.Row(t)[i] = transposed.X.Row(i)[t];
        using var workers = new Workers(3);

        transposed.Check((h, level) =>
        {
            h.Span<float>().Clear();
            var target = new HostTarget(level, workers);
            MatMul.Gram(x, h, target);
            AssertSymmetric(h);

            // Added again, to what is there: twice the same is exact.
            var twice = h.Clone();
            MatMul.Gram(x, twice, target);
            AssertSymmetric(twice);
            Assert.Equal(2 * h.Row(width - 1)[0], twice.Row(width - 1)[0], 1e-5f * tokens);
        });
    }

    [Fact]
    public void No_tokens_add_nothing()
    {
        var h = Tensor.From([1, 2, 2, 5], 2, 2);
        MatMul.Gram(Tensor.Empty(0, 2), h);
        Assert.Equal([1, 2, 2, 5], h.Span<float>().ToArray());
    }

    [Fact]
    public void Only_the_lower_triangle_of_h_is_read()
    {
        var h = Tensor.From([1, float.NaN, 2, 5], 2, 2);
        MatMul.Gram(Tensor.From([10, 20], 1, 2), h);
        Assert.Equal([101, 202, 202, 405], h.Span<float>().ToArray());
    }

    static void AssertSymmetric(Tensor h)
    {
        var values = h.Span<float>();
        var width = h.Columns;
        for (var row = 0; row < width; row++)
            for (var column = 0; column < row; column++)
                if (values[row * width + column] != values[column * width + row])
                    Assert.Fail($"{h} is not symmetric at {row}, {column}");
    }
}
