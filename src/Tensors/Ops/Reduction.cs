using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Nibble.Tensors.Ops;

/// <summary>
/// Sums and maxima of one row, in a fixed order: the result depends on the width of the vectors and on nothing else.
/// </summary>
static class Reduction
{
    /// <summary>The largest value; NaN where there is one, negative infinity of nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Max<V>(ReadOnlySpan<float> x) where V : struct, IFloats<V>
    {
        ref var from = ref MemoryMarshal.GetReference(x);
        V first = V.Broadcast(float.NegativeInfinity), second = first;
        var i = 0;
        for (; i <= x.Length - 2 * V.Count; i += 2 * V.Count)
        {
            first = V.Max(first, V.Load(in from, i));
            second = V.Max(second, V.Load(in from, i + V.Count));
        }

        Span<float> lanes = stackalloc float[Floats.Widest];
        lanes.Fill(float.NegativeInfinity);
        V.Store(V.Max(first, second), ref lanes[0], 0);
        var max = float.NegativeInfinity;
        foreach (var lane in lanes)
            max = MathF.Max(max, lane);
        for (; i < x.Length; i++)
            max = MathF.Max(max, x[i]);
        return max;
    }

    /// <summary>Σ (x - shift).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Sum<V>(ReadOnlySpan<float> x, float shift) where V : struct, IFloats<V>
    {
        ref var from = ref MemoryMarshal.GetReference(x);
        V a = V.Broadcast(0), b = a, c = a, d = a, s = V.Broadcast(shift);
        var i = 0;
        for (; i <= x.Length - 4 * V.Count; i += 4 * V.Count)
        {
            a += V.Load(in from, i) - s;
            b += V.Load(in from, i + V.Count) - s;
            c += V.Load(in from, i + 2 * V.Count) - s;
            d += V.Load(in from, i + 3 * V.Count) - s;
        }
        var sum = V.Sum(a + b + (c + d));
        for (; i < x.Length; i++)
            sum += x[i] - shift;
        return sum;
    }

    /// <summary>Σ (x - shift)².</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float SumOfSquares<V>(ReadOnlySpan<float> x, float shift) where V : struct, IFloats<V>
    {
        ref var from = ref MemoryMarshal.GetReference(x);
        V a = V.Broadcast(0), b = a, c = a, d = a, s = V.Broadcast(shift);
        var i = 0;
        for (; i <= x.Length - 4 * V.Count; i += 4 * V.Count)
        {
            V p = V.Load(in from, i) - s, q = V.Load(in from, i + V.Count) - s;
            V r = V.Load(in from, i + 2 * V.Count) - s, t = V.Load(in from, i + 3 * V.Count) - s;
            a = V.MultiplyAdd(p, p, a);
            b = V.MultiplyAdd(q, q, b);
            c = V.MultiplyAdd(r, r, c);
            d = V.MultiplyAdd(t, t, d);
        }
        var sum = V.Sum(a + b + (c + d));
        for (; i < x.Length; i++)
            sum += (x[i] - shift) * (x[i] - shift);
        return sum;
    }
}
