using Nibble.Quant;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms.Equalisation;

public class SvdQuantTests
{
    /// <summary>Both decompose in double and multiply in F32: 1.6e-7 of the largest measured.</summary>
    const double Product = 1e-6;

    [Theory]
    [InlineData(8)]
    [InlineData(16)]
    public void Equals_the_recording(int rank)
    {
        var name = $"svdquant_rank{rank}";
        var awq = Awq.Search(Lab.Inputs(), Lab.Weight, new NvFp4());
        Close.Assert(Lab.Floats(name + ".pre_quant_scale"), awq.PreQuantScale, Lab.Scale);
        var weight = ChannelScaling.Multiply(Lab.Weight, awq.WeightScale);
        var part = SvdQuant.Decompose(weight, rank);
        var product = Multiply(part);
        Close.Scaled(Wide(Lab.Floats(name + ".lowrank_product")), product.Span<float>(), Product);
        var residual = SvdQuant.Residual(weight, part);
        Close.Scaled(Wide(Lab.Floats(name + ".residual_weight")), residual.Span<float>(), Product);
        Lab.Near(Lab.Case(name).GetProperty("weight_amax").GetDouble(), WeightQuantizer.AbsMax(residual), Product);

        var (x, down, low, y) = (Lab.Tokens(awq.PreQuantScale), Tensor.Empty(4, rank), Tensor.Empty(4, 32), Tensor.Empty(4, 32));
        MatMul.Apply(x, part.Down, down);
        MatMul.Apply(down, part.Up, low);
        MatMul.Apply(Lab.AsNvFp4(x, awq.InputAmax), Lab.Rounded(residual, new NvFp4()), y);
        for (var i = 0; i < 128; i++)
            y.Span<float>()[i] += low.Span<float>()[i];
        Lab.CheckOutput(name, y);
    }

    [Theory]
    [InlineData(5, 9, 3)]
    [InlineData(9, 5, 5)]
    [InlineData(40, 40, 40)]
    [InlineData(1, 7, 1)]
    public void A_decomposition_is_orthonormal_and_ordered_and_exact_at_full_rank(int rows, int columns, int rank)
    {
        var weight = Draw.Tensor(rows, rows, columns);
        var part = SvdQuant.Decompose(weight, rank);
        double before = double.PositiveInfinity;
        for (var i = 0; i < rank; i++)
        {
            for (var j = 0; j <= i; j++)
                Assert.Equal(i == j ? 1 : 0, Dot(part.Down.Row(i), part.Down.Row(j)), 1e-6);
            var length = Math.Sqrt(Enumerable.Range(0, rows).Sum(row => (double)part.Up.Row(row)[i] * part.Up.Row(row)[i]));
            Assert.True(length <= before * (1 + 1e-6));
            before = length;
        }
        if (rank == Math.Min(rows, columns))
            Assert.All(SvdQuant.Residual(weight, part).Span<float>().ToArray(), rest => Assert.InRange(rest, -1e-5f, 1e-5f));
    }

    [Fact]
    public void Matrices_of_small_rank_and_zeros_decompose()
    {
        var part = SvdQuant.Decompose(Tensor.Zeros(6, 4), 2);
        Assert.All(Multiply(part).Span<float>().ToArray(), value => Assert.Equal(0, value));
        float[] row = Draw.Normal(300, 5);
        var one = Tensor.Empty(40, 300);
        for (var i = 0; i < 40; i++)
            for (var c = 0; c < 300; c++)
                one.Row(i)[c] = row[c] * (i - 7);
        Close.Scaled(Wide(one.Span<float>()), Multiply(SvdQuant.Decompose(one, 3)).Span<float>(), Product);
        Assert.Contains("rank 5", Assert.Throws<QuantizationException>(() => SvdQuant.Decompose(Tensor.Zeros(6, 4), 5)).Message);
    }

    [Fact]
    public void The_leading_vectors_of_a_large_matrix_are_those_of_all()
    {
        const int Rows = 90, Columns = 130, Rank = 6;
        var matrix = new DoubleMatrix(Rows, Columns);
        var random = new Random(3);
        for (var row = 0; row < Rows; row++)
            for (var c = 0; c < Columns; c++)
                matrix.Row(row)[c] = (random.NextDouble() - 0.5) * Math.Exp(-c / 8.0);
        var (exact, quick) = (SingularVectors.Right(matrix, Rank), SingularVectors.LeadingRight(matrix, Rank));
        for (var i = 0; i < Rank; i++)
            Assert.Equal(1, Math.Abs(Dot(exact.Row(i), quick.Row(i))), 1e-12);

        // A flat spectrum: vectors need not agree, but what they capture must.
        for (var row = 0; row < Rows; row++)
            foreach (ref var value in matrix.Row(row))
                value = random.NextDouble() - 0.5;
        var (best, captured) = (Captured(matrix, SingularVectors.Right(matrix, Rank)),
            Captured(matrix, SingularVectors.LeadingRight(matrix, Rank)));
        Assert.InRange(captured / best, 0.9999, 1 + 1e-12);
        Assert.Equal(0, Captured(new DoubleMatrix(20, 30), SingularVectors.LeadingRight(new DoubleMatrix(20, 30), 2)));
    }

    static double Captured(DoubleMatrix matrix, DoubleMatrix right)
    {
        var left = matrix.TimesTransposed(right);
        return Enumerable.Range(0, left.Rows).Sum(row => Dot(left.Row(row), left.Row(row)));
    }

    static Tensor Multiply(LowRank part)
    {
        var product = Tensor.Empty(part.Up.Rows, part.Down.Columns);
        MatMul.Multiply(part.Up, part.Down, product);
        return product;
    }

    static double[] Wide(ReadOnlySpan<float> values) => [.. values.ToArray().Select(value => (double)value)];

    static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => Dot(Wide(a), Wide(b));

    static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }
}
