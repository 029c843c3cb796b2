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

    [Theory]
    [InlineData(1, 3, 5)]
    [InlineData(2, 17, 40)]
    [InlineData(257, 33, 31)]
    [InlineData(300, 70, 601)]
    public void CrossGram_adds_the_definition(int tokens, int rows, int columns)
    {
        // aᵀ·b is the product of aᵀ [M, T] with the weight bᵀ [N, T].
        var transposed = new MatMulCase(rows, columns, tokens);
        using Tensor a = Transposed(transposed.X), b = Transposed(transposed.Weight);
        using var workers = new Workers(3);
        transposed.Check((c, level) =>
        {
            c.Span<float>().Clear();
            var target = new HostTarget(level, workers);
            MatMul.CrossGram(a, b, c, target);
            var once = c.Clone();
            MatMul.CrossGram(a, b, once, target);
            Assert.Equal(2 * c.Row(rows - 1)[columns - 1], once.Row(rows - 1)[columns - 1], 1e-5f * tokens);
        });
    }

    static Tensor Transposed(Tensor x)
    {
        var y = Tensor.Empty(x.Columns, x.Rows);
        for (var row = 0; row < x.Rows; row++)
            for (var column = 0; column < x.Columns; column++)
                y.Row(column)[row] = x.Row(row)[column];
        return y;
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
