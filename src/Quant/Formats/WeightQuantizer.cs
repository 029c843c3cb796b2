using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Formats;

/// <summary>Round to nearest: a whole matrix into a format, rows in parallel.</summary>
public static class WeightQuantizer
{
    /// <summary>Elements a thread takes at a time.</summary>
    const int PieceElements = 1 << 17;

    /// <summary>The largest magnitude of a float tensor; 0 where it has no elements.</summary>
    /// <param name="name">The tensor's name, for errors.</param>
    /// <exception cref="QuantizationException">A NaN or an infinity, or a tensor that holds no plain numbers.</exception>
    public static float AbsMax(Tensor weight, string name = "weight")
    {
        CheckType(weight, name);
        var largest = 0f;
        var gate = new Lock();
        ForRows(weight, name, (_, row) => Amax.Of(row), amax =>
        {
            lock (gate)
                largest = Math.Max(largest, amax);
        });
        return largest;
    }

    /// <summary>Codes and scales of a matrix.</summary>
    /// <param name="weight">[out, in] of any float type.</param>
    /// <param name="sharedAmax">
    /// What a tensor scale is made of, where modules that are fused must agree or a search chose one; else the matrix' own.
    /// </param>
    /// <param name="name">The tensor's name, for errors.</param>
    /// <exception cref="QuantizationException">A shape the format refuses, a NaN or an infinity.</exception>
    public static QuantizedWeight Quantize(Tensor weight, WeightFormat format, float? sharedAmax = null, string name = "weight")
    {
        CheckType(weight, name);
        if (weight.Shape.Rank != 2)
            throw new QuantizationException($"{name}: a matrix [out, in] expected, found {weight}");
        if (format.Refuse(weight.Rows, weight.Columns) is { } reason)
            throw new QuantizationException($"{name}: {weight} cannot be stored as {format}: {reason}");
        if (sharedAmax is { } given && !(given >= 0 && float.IsFinite(given)))
            throw new QuantizationException($"{name}: a largest magnitude cannot be {given}");

        var tensorScale = format.HasTensorScale ? format.TensorScale(sharedAmax ?? AbsMax(weight, name)) : 1;
        var codeBytes = format.CodeBytesPerRow(weight.Columns);
        var codes = Tensor.Empty(new Shape(weight.Rows, codeBytes), format.CodeType);
        var scales = format.ScaleType is { } type
            ? Tensor.Empty(new Shape(weight.Rows, format.ScalesPerRow(weight.Columns)), type)
            : null;
        if (format.RowsPerScale > 1)
            ShareScales(weight, name, format, tensorScale, scales!);
        ForRows(weight, name, (index, row) =>
        {
            Encode(format, tensorScale, row, codes, scales, index);
            return Amax.Of(row);
        });
        if (scales is not null)
            format.FinishScales(scales);
        return new QuantizedWeight(format, weight.Rows, weight.Columns, codes, scales, tensorScale);
    }

    static void Encode(
        WeightFormat format, float tensorScale, ReadOnlySpan<float> row, Tensor codes, Tensor? scales, int index)
    {
        var codeBytes = format.CodeBytesPerRow(row.Length);
        var scaleBytes = format.ScaleBytesPerRow(row.Length);
        var rowCodes = RowBytes(codes, index, codeBytes);
        var rowScales = scales is null ? default : RowBytes(scales, index, scaleBytes);
        if (format.RowsPerScale == 1)
            format.EncodeRow(row, tensorScale, rowCodes, rowScales);
        else
            format.CodeRow(row, tensorScale, rowScales, rowCodes);
        GC.KeepAlive(codes);
        GC.KeepAlive(scales);
    }

    static unsafe Span<byte> RowBytes(Tensor tensor, int row, int bytes) => new(tensor.Pointer + (long)row * bytes, bytes);

    /// <summary>The scales of rows that share them, from their largest magnitudes column by column.</summary>
    static void ShareScales(Tensor weight, string name, WeightFormat format, float tensorScale, Tensor scales)
    {
        var (columns, bytes) = (weight.Columns, format.ScaleBytesPerRow(weight.Columns));
        Threads.For((weight.Rows + format.RowsPerScale - 1) / format.RowsPerScale, 1, (start, end) =>
        {
            var (values, peaks) = (new float[columns], new float[columns]);
            for (var block = start; block < end; block++)
            {
                var first = block * format.RowsPerScale;
                var last = Math.Min(first + format.RowsPerScale, weight.Rows) - 1;
                Array.Clear(peaks);
                for (var row = first; row <= last; row++)
                {
                    Tensors.Convert.ToF32(weight, (long)row * columns, values);
                    TensorPrimitives.MaxMagnitude(values, peaks, peaks);
                }
                format.ScaleRow(peaks, tensorScale, RowBytes(scales, first, bytes));
                for (var row = first + 1; row <= last; row++)
                    RowBytes(scales, first, bytes).CopyTo(RowBytes(scales, row, bytes));
            }
        });
    }

    /// <summary>Calls <paramref name="work"/> with every row as F32; it returns the row's amax, which must be finite.</summary>
    static void ForRows(Tensor weight, string name, RowWork work, Action<float>? found = null)
    {
        var (rows, columns) = (weight.Rows, weight.Columns);
        var firstBad = int.MaxValue;
        var gate = new Lock();
        Threads.For(rows, Math.Max(1, PieceElements / Math.Max(1, columns)), (start, end) =>
        {
            var values = new float[columns];
            var largest = 0f;
            for (var row = start; row < end; row++)
            {
                Tensors.Convert.ToF32(weight, (long)row * columns, values);
                var amax = work(row, values);
                if (!float.IsFinite(amax))
                    lock (gate)
                        firstBad = Math.Min(firstBad, row);
                largest = Math.Max(largest, amax);
            }
            found?.Invoke(largest);
        });
        if (firstBad < rows)
            throw NotFinite(weight, name, firstBad);
    }

    static QuantizationException NotFinite(Tensor weight, string name, int row)
    {
        var values = new float[weight.Columns];
        Tensors.Convert.ToF32(weight, (long)row * weight.Columns, values);
        var column = Array.FindIndex(values, value => !float.IsFinite(value));
        return new QuantizationException(
            $"{name}: finite numbers expected, found {values[column]} in row {row}, column {column}");
    }

    static void CheckType(Tensor weight, string name)
    {
        if (weight.DType is not (DType.F32 or DType.F16 or DType.BF16 or DType.F64))
            throw new QuantizationException($"{name}: F32, F16, BF16 or F64 expected, found {weight}");
    }

    delegate float RowWork(int index, ReadOnlySpan<float> row);
}
