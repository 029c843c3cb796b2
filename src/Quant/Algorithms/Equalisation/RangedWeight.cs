using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>Quantization under ranges a search chose, where <see cref="WeightQuantizer"/> takes the largest magnitudes.</summary>
public static class RangedWeight
{
    /// <summary>Codes under scales made of the given ranges; what is beyond them saturates.</summary>
    /// <param name="weight">[out, in] of any float type.</param>
    /// <param name="format">Symmetric, with scales per row or group.</param>
    /// <param name="ranges">[out, scales of a row]: the magnitude each scale is made for.</param>
    /// <param name="tensorScale">The scale of the whole matrix, for formats that have one.</param>
    /// <exception cref="QuantizationException">Shapes that do not fit; ranges that are no magnitudes.</exception>
    public static QuantizedWeight Quantize(Tensor weight, WeightFormat format, Tensor ranges, float tensorScale = 1)
    {
        if (format.ScaleType is not { } scaleType || format is IntGroup { Symmetric: false })
            throw new QuantizationException($"{format} has no scale per row or group that a range could set");
        if (weight.Shape.Rank == 2 && format.Refuse(weight.Rows, weight.Columns) is { } reason)
            throw new QuantizationException($"weight: {weight} cannot be stored as {format}: {reason}");
        var matrix = ChannelScaling.Matrix(weight, weight.Columns);
        var perRow = format.ScalesPerRow(matrix.Columns);
        Check(ranges, matrix.Rows, perRow);

        var codes = Tensor.Empty(new Shape(matrix.Rows, format.CodeBytesPerRow(matrix.Columns)), format.CodeType);
        var scales = Tensor.Empty(new Shape(matrix.Rows, perRow), scaleType);
        var (codeBytes, scaleBytes) = (format.CodeBytesPerRow(matrix.Columns), format.ScaleBytesPerRow(matrix.Columns));
        Threads.For(matrix.Rows, 16, (start, end) =>
        {
            // A format makes the scale of a group from its largest magnitude: here a row that holds the ranges and zeros.
            var peaks = new float[matrix.Columns];
            for (var row = start; row < end; row++)
            {
                for (var group = 0; group < perRow; group++)
                    peaks[group * matrix.Columns / perRow] = ranges.Row(row)[group];
                var rowScales = Bytes(scales, row, scaleBytes);
                format.ScaleRow(peaks, tensorScale, rowScales);
                format.CodeRow(matrix.Row(row), tensorScale, rowScales, Bytes(codes, row, codeBytes));
            }
        });
        return new QuantizedWeight(format, matrix.Rows, matrix.Columns, codes, scales, tensorScale);
    }

    static unsafe Span<byte> Bytes(Tensor tensor, int row, int bytes) => new(tensor.Pointer + (long)row * bytes, bytes);

    static void Check(Tensor ranges, int rows, int perRow)
    {
        if (ranges.DType != DType.F32 || ranges.Shape != new Shape(rows, perRow))
            throw new QuantizationException($"ranges [{rows}, {perRow}] F32 expected, found {ranges}");
        foreach (var range in ranges.Span<float>())
            if (!(range >= 0 && float.IsFinite(range)))
                throw new QuantizationException($"a range cannot be {range}");
    }
}
