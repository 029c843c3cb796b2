using Nibble.Quant.Algorithms.Equalisation;
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

    /// <summary>‖W − Ŵ‖² / ‖W‖², Ŵ being what the codes and a part of low rank stand for.</summary>
    /// <param name="weight">[out, in], under the factors of inputs that the codes were made for.</param>
    public static double OfWeight(Tensor weight, PackedWeight packed)
    {
        var (rows, columns) = (packed.Rows, packed.Columns);
        using var low = packed.LowRank is null ? null : Product(packed.LowRank);
        var partial = new (double Difference, double Size)[rows];
        Threads.For(rows, Math.Max(1, PieceElements / columns), (start, end) =>
        {
            var (original, decoded) = (new float[columns], new float[columns]);
            for (var row = start; row < end; row++)
            {
                Tensors.Convert.ToF32(weight, (long)row * columns, original);
                packed.Decode(row, 0, decoded);
                if (low is not null)
                    TensorPrimitives.Add(decoded, low.Row(row), decoded);
                partial[row] = (Square(original, decoded), TensorPrimitives.SumOfSquares<float>(original));
            }
        });
        return Ratio(partial.Sum(part => part.Difference), partial.Sum(part => part.Size));
    }

    /// <summary>‖X̃·Wᵀ − Q(X)·Ŵᵀ‖² / ‖X̃·Wᵀ‖² over kept input rows; null without rows.</summary>
    /// <param name="weight">[out, in], under the factors of inputs that the codes were made for.</param>
    /// <param name="rows">X̃, the inputs in the original model.</param>
    /// <param name="quantized">X, the same inputs in the quantized model; null where they are not known apart.</param>
    public static double? OfOutput(Tensor weight, PackedWeight packed, Tensor? rows, Tensor? quantized = null)
    {
        if (rows is null)
            return null;
        using var exact = Tensor.Empty(rows.Rows, packed.Rows);
        using var approximate = Tensor.Empty(rows.Rows, packed.Rows);
        using var scaled = packed.PreQuantScale is null ? null : ChannelScaling.Multiply(rows, packed.PreQuantScale);
        new DenseWeight(weight).Multiply(scaled ?? rows, exact);
        packed.Multiply(quantized ?? rows, approximate);
        double difference = 0, size = 0;
        for (var row = 0; row < rows.Rows; row++)
        {
            difference += Square(exact.Row(row), approximate.Row(row));
            size += TensorPrimitives.SumOfSquares<float>(exact.Row(row));
        }
        return Ratio(difference, size);
    }

    static Tensor Product(LowRank part)
    {
        var product = Tensor.Empty(part.Up.Rows, part.Down.Columns);
        MatMul.Multiply(part.Up, part.Down, product);
        return product;
    }

    static double Square(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        var distance = (double)TensorPrimitives.Distance(x, y);
        return distance * distance;
    }

    static double Ratio(double difference, double size) => size == 0 ? 0 : difference / size;
}
