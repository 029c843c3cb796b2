using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Tests.Tensors.Ops;

public sealed class DenseWeightTests
{
    [Theory]
    [InlineData(DType.F32, 24 * 4)]
    [InlineData(DType.BF16, 24 * 2)]
    [InlineData(DType.F16, 24 * 2)]
    public void It_is_the_tensor_it_holds(DType type, long bytes)
    {
        var products = new MatMulCase(2, 6, 4, type);
        var weight = new DenseWeight(products.Weight);
        Assert.Equal((6, 4, bytes), (weight.Rows, weight.Columns, weight.Bytes));
        products.Check((y, _) => weight.Multiply(products.X, y));

        var part = new float[3];
        weight.Decode(5, 1, part);
        Assert.Equal(products.Rows.Values[21..24], part);
    }

    [Fact]
    public void Doubles_are_rounded()
    {
        var source = Tensor.Empty(new Shape(1, 2), DType.F64);
        (source.Span<double>()[0], source.Span<double>()[1]) = (0.1, -3);
        var weight = new DenseWeight(source);
        Assert.Equal([0.1f, -3], weight.Weight.Span<float>().ToArray());
        Assert.Equal(8, weight.Bytes);
    }

    [Fact]
    public void What_is_no_matrix_of_numbers_is_refused()
    {
        Assert.Equal("DenseWeight: weight must be a matrix; got weight = [4] F32.",
            Assert.Throws<ShapeException>(() => new DenseWeight(Tensor.Zeros(4))).Message);
        Assert.Equal("DenseWeight: weight must be F32, BF16, F16 or F64; got weight = [2, 2] F8_E4M3.",
            Assert.Throws<ShapeException>(() => new DenseWeight(Tensor.Zeros(new Shape(2, 2), DType.F8E4M3))).Message);
    }

    [Theory]
    [InlineData(2, 0)]
    [InlineData(-1, 0)]
    [InlineData(0, 2)]
    [InlineData(1, -1)]
    public void Decoding_outside_the_matrix_is_refused(int row, int column) =>
        Assert.Throws<ShapeException>(() => new DenseWeight(Tensor.Zeros(2, 3)).Decode(row, column, new float[2]));
}
