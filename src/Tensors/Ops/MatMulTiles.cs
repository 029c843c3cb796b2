using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>
/// The micro-kernels of the blocked product: C [rows, 2·Width] = or += A·B over k steps, with A a panel [k][rows], B a sliver
/// [k][2·Width] and every element of C in a register. Accumulators are named locals because arrays would live in memory.
/// Each element is one chain of multiply-adds in the order of k, so the result does not depend on the tile it falls in.
/// </summary>
static unsafe class MatMulTiles<L, V> where L : struct, ILanes<V> where V : struct
{
    // Steps of k by which A is fetched ahead of its use.
    const int AheadSteps = 16;

    /// <summary>Rows of the next tile when this many are left: what <see cref="Run"/> has a kernel for.</summary>
    public static int RowsOf(int left) => left switch
    {
        >= 12 when L.TileRows >= 12 => 12,
        >= 8 when L.TileRows >= 12 => 8,
        >= 6 => 6,
        >= 4 => 4,
        >= 2 => 2,
        _ => 1,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Run(int rows, float* a, float* b, float* c, nint pitch, int steps, bool add)
    {
        switch (rows)
        {
            case 12: Twelve(a, b, c, pitch, steps, add); break;
            case 8: Eight(a, b, c, pitch, steps, add); break;
            case 6: Six(a, b, c, pitch, steps, add); break;
            case 4: Four(a, b, c, pitch, steps, add); break;
            case 2: Two(a, b, c, pitch, steps, add); break;
            default: One(a, b, c, pitch, steps, add); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Twelve(float* a, float* b, float* c, nint pitch, int steps, bool add)
    {
        Fetch(c, pitch, 12);
        V low0 = default, high0 = default, low1 = default, high1 = default, low2 = default, high2 = default;
        V low3 = default, high3 = default, low4 = default, high4 = default, low5 = default, high5 = default;
        V low6 = default, high6 = default, low7 = default, high7 = default, low8 = default, high8 = default;
        V low9 = default, high9 = default, low10 = default, high10 = default, low11 = default, high11 = default;
        for (var end = a + (nint)steps * 12; a < end; a += 12, b += 2 * L.Width)
        {
            Fetch(a + AheadSteps * 12);
            V low = L.Load(b), high = L.Load(b + L.Width);
            Step(a[0], low, high, ref low0, ref high0);
            Step(a[1], low, high, ref low1, ref high1);
            Step(a[2], low, high, ref low2, ref high2);
            Step(a[3], low, high, ref low3, ref high3);
            Step(a[4], low, high, ref low4, ref high4);
            Step(a[5], low, high, ref low5, ref high5);
            Step(a[6], low, high, ref low6, ref high6);
            Step(a[7], low, high, ref low7, ref high7);
            Step(a[8], low, high, ref low8, ref high8);
            Step(a[9], low, high, ref low9, ref high9);
            Step(a[10], low, high, ref low10, ref high10);
            Step(a[11], low, high, ref low11, ref high11);
        }
        Put(c, low0, high0, add);
        Put(c + pitch, low1, high1, add);
        Put(c + 2 * pitch, low2, high2, add);
        Put(c + 3 * pitch, low3, high3, add);
        Put(c + 4 * pitch, low4, high4, add);
        Put(c + 5 * pitch, low5, high5, add);
        Put(c + 6 * pitch, low6, high6, add);
        Put(c + 7 * pitch, low7, high7, add);
        Put(c + 8 * pitch, low8, high8, add);
        Put(c + 9 * pitch, low9, high9, add);
        Put(c + 10 * pitch, low10, high10, add);
        Put(c + 11 * pitch, low11, high11, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Eight(float* a, float* b, float* c, nint pitch, int steps, bool add)
    {
        Fetch(c, pitch, 8);
        V low0 = default, high0 = default, low1 = default, high1 = default, low2 = default, high2 = default;
        V low3 = default, high3 = default, low4 = default, high4 = default, low5 = default, high5 = default;
        V low6 = default, high6 = default, low7 = default, high7 = default;
        for (var end = a + (nint)steps * 8; a < end; a += 8, b += 2 * L.Width)
        {
            Fetch(a + AheadSteps * 8);
            V low = L.Load(b), high = L.Load(b + L.Width);
            Step(a[0], low, high, ref low0, ref high0);
            Step(a[1], low, high, ref low1, ref high1);
            Step(a[2], low, high, ref low2, ref high2);
            Step(a[3], low, high, ref low3, ref high3);
            Step(a[4], low, high, ref low4, ref high4);
            Step(a[5], low, high, ref low5, ref high5);
            Step(a[6], low, high, ref low6, ref high6);
            Step(a[7], low, high, ref low7, ref high7);
        }
        Put(c, low0, high0, add);
        Put(c + pitch, low1, high1, add);
        Put(c + 2 * pitch, low2, high2, add);
        Put(c + 3 * pitch, low3, high3, add);
        Put(c + 4 * pitch, low4, high4, add);
        Put(c + 5 * pitch, low5, high5, add);
        Put(c + 6 * pitch, low6, high6, add);
        Put(c + 7 * pitch, low7, high7, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Six(float* a, float* b, float* c, nint pitch, int steps, bool add)
    {
        Fetch(c, pitch, 6);
        V low0 = default, high0 = default, low1 = default, high1 = default, low2 = default, high2 = default;
        V low3 = default, high3 = default, low4 = default, high4 = default, low5 = default, high5 = default;
        for (var end = a + (nint)steps * 6; a < end; a += 6, b += 2 * L.Width)
        {
            Fetch(a + AheadSteps * 6);
            V low = L.Load(b), high = L.Load(b + L.Width);
            Step(a[0], low, high, ref low0, ref high0);
            Step(a[1], low, high, ref low1, ref high1);
            Step(a[2], low, high, ref low2, ref high2);
            Step(a[3], low, high, ref low3, ref high3);
            Step(a[4], low, high, ref low4, ref high4);
            Step(a[5], low, high, ref low5, ref high5);
        }
        Put(c, low0, high0, add);
        Put(c + pitch, low1, high1, add);
        Put(c + 2 * pitch, low2, high2, add);
        Put(c + 3 * pitch, low3, high3, add);
        Put(c + 4 * pitch, low4, high4, add);
        Put(c + 5 * pitch, low5, high5, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Four(float* a, float* b, float* c, nint pitch, int steps, bool add)
    {
        Fetch(c, pitch, 4);
        V low0 = default, high0 = default, low1 = default, high1 = default, low2 = default, high2 = default;
        V low3 = default, high3 = default;
        for (var end = a + (nint)steps * 4; a < end; a += 4, b += 2 * L.Width)
        {
            Fetch(a + AheadSteps * 4);
            V low = L.Load(b), high = L.Load(b + L.Width);
            Step(a[0], low, high, ref low0, ref high0);
            Step(a[1], low, high, ref low1, ref high1);
            Step(a[2], low, high, ref low2, ref high2);
            Step(a[3], low, high, ref low3, ref high3);
        }
        Put(c, low0, high0, add);
        Put(c + pitch, low1, high1, add);
        Put(c + 2 * pitch, low2, high2, add);
        Put(c + 3 * pitch, low3, high3, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Two(float* a, float* b, float* c, nint pitch, int steps, bool add)
    {
        Fetch(c, pitch, 2);
        V low0 = default, high0 = default, low1 = default, high1 = default;
        for (var end = a + (nint)steps * 2; a < end; a += 2, b += 2 * L.Width)
        {
            Fetch(a + AheadSteps * 2);
            V low = L.Load(b), high = L.Load(b + L.Width);
            Step(a[0], low, high, ref low0, ref high0);
            Step(a[1], low, high, ref low1, ref high1);
        }
        Put(c, low0, high0, add);
        Put(c + pitch, low1, high1, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void One(float* a, float* b, float* c, nint pitch, int steps, bool add)
    {
        V low0 = default, high0 = default;
        for (var end = a + steps; a < end; a++, b += 2 * L.Width)
        {
            V low = L.Load(b), high = L.Load(b + L.Width);
            Step(a[0], low, high, ref low0, ref high0);
        }
        Put(c, low0, high0, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Step(float a, V low, V high, ref V sumLow, ref V sumHigh)
    {
        var all = L.All(a);
        sumLow = L.MultiplyAdd(all, low, sumLow);
        sumHigh = L.MultiplyAdd(all, high, sumHigh);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put(float* c, V low, V high, bool add)
    {
        if (add)
        {
            low = L.Add(L.Load(c), low);
            high = L.Add(L.Load(c + L.Width), high);
        }
        L.Store(low, c);
        L.Store(high, c + L.Width);
    }

    /// <summary>Starts bringing the tile of C, which is needed at the end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Fetch(float* c, nint pitch, int rows)
    {
        for (var row = 0; row < rows; row++, c += pitch)
        {
            Fetch(c);
            Fetch(c + L.Width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Fetch(float* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address);
    }
}
