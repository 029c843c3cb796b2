using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>Rows of doubles.</summary>
sealed class DoubleMatrix(int rows, int columns)
{
    readonly double[][] values = [.. Enumerable.Range(0, rows).Select(_ => new double[columns])];

    public int Rows => rows;

    public int Columns => columns;

    public Span<double> Row(int row) => values[row];

    public DoubleMatrix Transposed()
    {
        var result = new DoubleMatrix(columns, rows);
        for (var row = 0; row < rows; row++)
            for (var column = 0; column < columns; column++)
                result.values[column][row] = values[row][column];
        return result;
    }

    /// <summary>this · otherᵀ, [rows, rows of the other].</summary>
    public DoubleMatrix TimesTransposed(DoubleMatrix other)
    {
        var result = new DoubleMatrix(rows, other.Rows);
        Threads.For(rows, 4, (start, end) =>
        {
            for (var row = start; row < end; row++)
                for (var column = 0; column < other.Rows; column++)
                    result.values[row][column] = TensorPrimitives.Dot<double>(values[row], other.values[column]);
        });
        return result;
    }

    /// <summary>this · other, [rows, columns of the other].</summary>
    public DoubleMatrix Times(DoubleMatrix other)
    {
        var result = new DoubleMatrix(rows, other.Columns);
        Threads.For(rows, 1, (start, end) =>
        {
            for (var row = start; row < end; row++)
                for (var k = 0; k < columns; k++)
                    TensorPrimitives.MultiplyAdd(other.values[k], values[row][k], result.values[row], result.values[row]);
        });
        return result;
    }

    /// <summary>The first rows alone.</summary>
    public DoubleMatrix Take(int count)
    {
        var result = new DoubleMatrix(count, columns);
        for (var row = 0; row < count; row++)
            values[row].CopyTo(result.values[row], 0);
        return result;
    }

    public void SortRowsDescending(double[] keys)
    {
        Array.Sort(keys, values);
        Array.Reverse(keys);
        Array.Reverse(values);
    }

    public Tensor ToTensor()
    {
        var tensor = Tensor.Empty(rows, columns);
        for (var row = 0; row < rows; row++)
            TensorPrimitives.ConvertSaturating<double, float>(values[row], tensor.Row(row));
        return tensor;
    }
}
