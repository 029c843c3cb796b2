using System.Numerics;

namespace Nibble.Tensors.Ops;

/// <summary>
/// The indices of the k largest values, largest first; of equals the lower index comes first. NaN counts as larger than every
/// number, as in PyTorch.
/// </summary>
public static class TopK
{
    /// <param name="values">At least k.</param>
    /// <returns>k indices.</returns>
    /// <exception cref="ShapeException">There are fewer than k values, or k is negative.</exception>
    public static int[] Apply(ReadOnlySpan<float> values, int k)
    {
        var result = new int[Checked(k, values.Length)];
        Host(values, result);
        return result;
    }

    /// <param name="x">[…, D] F32.</param>
    /// <returns>k indices per row, row after row.</returns>
    /// <exception cref="ShapeException">There are fewer than k columns, k is negative, or x is not F32.</exception>
    public static int[] Apply(Tensor x, int k)
    {
        Expect.Type(x, DType.F32);
        var result = new int[checked(x.Rows * Checked(k, x.Columns))];
        Work.For(x.Rows, 1.0 * x.Columns, row => Host<float>(x.Row(row), result.AsSpan(row * k, k)));
        return result;
    }

    internal static void Definition(ReadOnlySpan<float> values, Span<int> indices)
    {
        var copy = values.ToArray();
        Enumerable.Range(0, copy.Length)
            .OrderByDescending(i => float.IsNaN(copy[i])).ThenByDescending(i => copy[i]).ThenBy(i => i)
            .Take(indices.Length).ToArray().CopyTo(indices);
    }

    /// <summary>A heap of the best so far, the worst of them on top.</summary>
    internal static void Host<T>(ReadOnlySpan<T> values, Span<int> heap) where T : IFloatingPoint<T>
    {
        if (heap.IsEmpty)
            return;
        for (var i = 0; i < heap.Length; i++)
            heap[i] = i;
        for (var i = heap.Length / 2 - 1; i >= 0; i--)
            Sink(values, heap, i);

        // A later equal never displaces an earlier one, so "not larger" is all that has to be asked of most values.
        for (var i = heap.Length; i < values.Length; i++)
            if (!(values[i] <= values[heap[0]]) && Worse(values, heap[0], i))
            {
                heap[0] = i;
                Sink(values, heap, 0);
            }

        for (var last = heap.Length - 1; last > 0; last--)
        {
            (heap[0], heap[last]) = (heap[last], heap[0]);
            Sink(values, heap[..last], 0);
        }
    }

    static void Sink<T>(ReadOnlySpan<T> values, Span<int> heap, int at) where T : IFloatingPoint<T>
    {
        while (true)
        {
            var child = 2 * at + 1;
            if (child >= heap.Length)
                return;
            if (child + 1 < heap.Length && Worse(values, heap[child + 1], heap[child]))
                child++;
            if (!Worse(values, heap[child], heap[at]))
                return;
            (heap[at], heap[child]) = (heap[child], heap[at]);
            at = child;
        }
    }

    static bool Worse<T>(ReadOnlySpan<T> values, int left, int right) where T : IFloatingPoint<T>
    {
        T a = values[left], b = values[right];
        if (a < b)
            return true;
        if (a > b)
            return false;
        bool undefinedA = T.IsNaN(a), undefinedB = T.IsNaN(b);
        return undefinedA == undefinedB ? left > right : undefinedB;
    }

    static int Checked(int k, int length) => k >= 0 && k <= length ? k
        : throw new ShapeException($"TopK: k must be from 0 to {length}, the number of values; got {k}.");
}
