using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Perf;

/// <summary>The bounds a result is held against: what this core can do when nothing else is asked of it.</summary>
static unsafe class Probes
{
    const int PeakSteps = 1 << 18;
    const int Chains = 12;

    /// <summary>Multiply-adds in registers, in enough independent chains to fill both units.</summary>
    public static Measured Peak(CpuLevel level) => level switch
    {
        CpuLevel.Avx512 => Peak<Lanes512, Vector512<float>>(level),
        CpuLevel.Avx2 => Peak<Lanes256, Vector256<float>>(level),
        _ => Peak<Lanes128, Vector128<float>>(level),
    };

    /// <summary>Reads the bytes of a tensor in order, by as many threads as given, and does nothing with them.</summary>
    public static Measured Read(Tensor tensor, Workers workers) =>
        new($"read {tensor.Bytes >> 20} MiB, {workers.Count} thread(s)", tensor.Bytes,
            () => workers.For((int)(tensor.Bytes >> 17), 1, (start, end) =>
                Touch((ulong*)(tensor.Pointer + ((long)start << 17)), (long)(end - start) << 14)));

    static Measured Peak<L, V>(CpuLevel level) where L : struct, ILanes<V> where V : struct =>
        new($"multiply-add peak, {level}", 2.0 * Chains * L.Width * PeakSteps, () => MultiplyAdds<L, V>(PeakSteps));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float MultiplyAdds<L, V>(int steps) where L : struct, ILanes<V> where V : struct
    {
        V x = L.All(0.5f), y = L.All(1);
        V a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
        for (var step = 0; step < steps; step++)
        {
            a = L.MultiplyAdd(a, x, y);
            b = L.MultiplyAdd(b, x, y);
            c = L.MultiplyAdd(c, x, y);
            d = L.MultiplyAdd(d, x, y);
            e = L.MultiplyAdd(e, x, y);
            f = L.MultiplyAdd(f, x, y);
            g = L.MultiplyAdd(g, x, y);
            h = L.MultiplyAdd(h, x, y);
            i = L.MultiplyAdd(i, x, y);
            j = L.MultiplyAdd(j, x, y);
            k = L.MultiplyAdd(k, x, y);
            l = L.MultiplyAdd(l, x, y);
        }
        var sum = L.Add(L.Add(L.Add(a, b), L.Add(c, d)), L.Add(L.Add(e, f), L.Add(g, h)));
        return L.Sum(L.Add(sum, L.Add(L.Add(i, j), L.Add(k, l))));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Touch(ulong* words, long count)
    {
        Vector512<ulong> a = default, b = default, c = default, d = default;
        for (var end = words + count; words < end; words += 32)
        {
            a |= Vector512.Load(words);
            b |= Vector512.Load(words + 8);
            c |= Vector512.Load(words + 16);
            d |= Vector512.Load(words + 24);
        }
        Sink = Vector512.Sum(a | b | (c | d));
    }

    static ulong Sink;
}
