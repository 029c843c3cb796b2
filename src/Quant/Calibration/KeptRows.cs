using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>Rows at a stride that doubles whenever the buffer is full: an even spread of however many come.</summary>
/// <param name="width">Of a row.</param>
/// <param name="capacity">Rows kept at most; 0: none.</param>
sealed class KeptRows(int width, int capacity) : IDisposable
{
    Tensor? buffer;
    int count;
    long stride = 1;

    /// <summary>Takes in the row of this index, 0 for the first.</summary>
    public void Offer(ReadOnlySpan<float> row, long index)
    {
        if (capacity == 0 || index % stride != 0)
            return;
        if (count == capacity)
        {
            Thin();
            if (index % stride != 0)
                return;
        }
        Add(row);
    }

    /// <summary>Every so many rows of both, as many as fit.</summary>
    public void Merge(KeptRows other)
    {
        if (capacity == 0 || other.count == 0)
            return;
        var (mine, theirs) = (Rows()?.Clone(), other.Rows()!);
        var all = (long)count + other.count;
        var step = (int)((all + capacity - 1) / capacity);
        count = 0;
        for (var i = 0; i < all; i += step)
            Add(i < (mine?.Rows ?? 0) ? mine!.Row(i) : theirs.Row(i - (mine?.Rows ?? 0)));
        GC.KeepAlive(mine);
        GC.KeepAlive(theirs);
    }

    /// <summary>[rows, in]; null when there were none.</summary>
    public Tensor? Rows() => count == 0 ? null : buffer!.Slice(0, count);

    /// <exception cref="QuantizationException">Rows of another width, or not finite.</exception>
    public static KeptRows FromTensors(string name, int width, int capacity, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var kept = new KeptRows(width, capacity);
        if (capacity == 0 || !tensors.ContainsKey("rows"))
            return kept;
        using var rows = tensors.Get(name, "rows", DType.F32, 2).Clone();
        StatisticTensors.CheckActivations($"{name}: rows", rows, width);
        for (var row = 0; row < rows.Rows; row++)
            kept.Offer(rows.Row(row), row);
        return kept;
    }

    public void Dispose() => buffer?.Dispose();

    void Add(ReadOnlySpan<float> row)
    {
        buffer ??= Tensor.Empty(capacity, width);
        row.CopyTo(buffer.Row(count++));
    }

    void Thin()
    {
        for (var i = 0; 2 * i < count; i++)
            buffer!.Row(2 * i).CopyTo(buffer.Row(i));
        count = (count + 1) / 2;
        stride *= 2;
    }
}
