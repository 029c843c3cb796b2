using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Quant;

/// <summary>Relative squared errors.</summary>
static class Errors
{
    /// <summary>Elements a thread takes at a time.</summary>
    const int PieceElements = 1 << 17;

    /// <summary>‖W − Ŵ‖² / ‖W‖².</summary>
    public static double OfWeight(Tensor weight, QuantizedWeight quantized)
    {
        var (rows, columns) = (quantized.Rows, quantized.Columns);
        var partial = new (double Difference, double Size)[rows];
        Threads.For(rows, Math.Max(1, PieceElements / columns), (start, end) =>
        {
            var (original, decoded) = (new float[columns], new float[columns]);
            for (var row = start; row < end; row++)
            {
                Tensors.Convert.ToF32(weight, (long)row * columns, original);
                quantized.Decode(row, 0, decoded);
                partial[row] = (Square(original, decoded), TensorPrimitives.SumOfSquares<float>(original));
            }
        });
        return Ratio(partial.Sum(part => part.Difference), partial.Sum(part => part.Size));
    }

    /// <summary>‖X̃·Wᵀ − Q(X)·Ŵᵀ‖² / ‖X̃·Wᵀ‖² over kept input rows; null without rows.</summary>
    /// <param name="rows">X̃, the inputs in the original model.</param>
    /// <param name="quantized">X, the same inputs in the quantized model; null where they are not known apart.</param>
    public static double? OfOutput(Tensor weight, PackedWeight packed, Tensor? rows, Tensor? quantized = null)
    {
        if (rows is null)
            return null;
        using var exact = Tensor.Empty(rows.Rows, packed.Rows);
        using var approximate = Tensor.Empty(rows.Rows, packed.Rows);
        new DenseWeight(weight).Multiply(rows, exact);
        packed.Multiply(quantized ?? rows, approximate);
        double difference = 0, size = 0;
        for (var row = 0; row < rows.Rows; row++)
        {
            difference += Square(exact.Row(row), approximate.Row(row));
            size += TensorPrimitives.SumOfSquares<float>(exact.Row(row));
        }
        return Ratio(difference, size);
    }

    static double Square(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        var distance = (double)TensorPrimitives.Distance(x, y);
        return distance * distance;
    }

    static double Ratio(double difference, double size) => size == 0 ? 0 : difference / size;
}
