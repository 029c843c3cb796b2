using System.Numerics;
using Nibble.Quant.Algorithms.Rotation;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms.Rotation;

public class HadamardBasisTests
{
    /// <summary>Of the largest result; less than 2e-7 measured.</summary>
    public const double Relative = 4e-7;

    /// <summary>Q as a matrix, block by block.</summary>
    public static double[,] Definition(int width, int block, bool signs)
    {
        var q = new double[width, width];
        for (var i = 0; i < width; i++)
            for (var j = i - i % block; j < i - i % block + block; j++)
                q[i, j] = (BitOperations.PopCount((uint)(i % block & j % block)) % 2 == 0 ? 1 : -1)
                    * (signs ? HadamardBasis.Sign(i) : 1) / Math.Sqrt(block);
        return q;
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(80, 16)]
    [InlineData(96, 32)]
    [InlineData(127, 1)]
    [InlineData(128, 128)]
    [InlineData(896, 128)]
    [InlineData(3584, 512)]
    public void Blocks_are_the_largest_power_of_two_that_divides_the_width(int width, int block)
    {
        Assert.Equal(block, HadamardBasis.OfStream(width).Block);
        Assert.Equal(block, HadamardBasis.OfHeads(width).Block);
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(2, 1)]
    [InlineData(24, 5)]
    [InlineData(96, 17)]
    [InlineData(128, 40)]
    public void Rows_and_columns_are_turned_as_a_matrix_turns_them(int width, int count)
    {
        foreach (var signs in (bool[])[true, false])
        {
            var basis = signs ? HadamardBasis.OfStream(width) : HadamardBasis.OfHeads(width);
            var q = Definition(width, basis.Block, signs);
            var factors = Draw.Normal(width, 3);
            using Tensor rows = Draw.Tensor(1, count, width), columns = Draw.Tensor(2, width, count);
            var (expectedRows, expectedColumns) = (new double[count * width], new double[width * count]);
            for (var at = 0; at < count; at++)
                for (var j = 0; j < width; j++)
                    for (var i = 0; i < width; i++)
                    {
                        expectedRows[at * width + j] += (double)rows.Row(at)[i] * factors[i] * q[i, j];
                        expectedColumns[j * count + at] += columns.Row(i)[at] * q[i, j];
                    }
            basis.TurnRows(rows, factors);
            basis.TurnColumns(columns);
            Close.Scaled(expectedRows, rows.Span<float>(), Relative, $"rows, signs {signs}");
            Close.Scaled(expectedColumns, columns.Span<float>(), Relative, $"columns, signs {signs}");
        }
    }

    [Theory, InlineData(12), InlineData(96)]
    public void The_matrix_is_orthogonal(int width)
    {
        var q = Definition(width, HadamardBasis.LargestBlock(width), signs: true);
        for (var a = 0; a < width; a++)
            for (var b = 0; b < width; b++)
                Assert.Equal(a == b ? 1 : 0, Enumerable.Range(0, width).Sum(i => q[i, a] * q[i, b]), 12);
    }

    /// <summary>Statistics are kept in this basis, so it is part of a file format. From SplitMix64 with the seed 0.</summary>
    [Fact]
    public void The_signs_never_change()
    {
        Assert.Equal("-++-+++-+-+-----", string.Concat(Enumerable.Range(0, 16).Select(i => HadamardBasis.Sign(i) > 0 ? '+' : '-')));
        Assert.InRange(Enumerable.Range(0, 4096).Sum(i => HadamardBasis.Sign(i)), -200, 200); // three standard deviations
    }
}
