using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Nibble.Tensors.Ops;

/// <summary>A function of one number, in lanes.</summary>
interface IUnary
{
    static abstract V Value<V>(V x) where V : struct, IFloats<V>;
}

/// <summary>A function of two numbers, in lanes.</summary>
interface IBinary
{
    static abstract V Value<V>(V x, V y) where V : struct, IFloats<V>;
}

/// <summary>The loops of the elementwise functions that are ours. Input and output may be the same memory.</summary>
static class Lanewise
{
    public static unsafe void Apply<F>(Tensor x, Tensor y, double nanosecondsEach) where F : struct, IUnary =>
        Work.Pieces(x.Elements, nanosecondsEach, (start, length) => Host<F>(Part(x, start, length), Part(y, start, length)));

    public static unsafe void Apply<F>(Tensor x, Tensor y, Tensor result, double nanosecondsEach) where F : struct, IBinary =>
        Work.Pieces(x.Elements, nanosecondsEach, (start, length) =>
            Host<F>(Part(x, start, length), Part(y, start, length), Part(result, start, length)));

    public static void Host<F>(ReadOnlySpan<float> x, Span<float> y) where F : struct, IUnary
    {
        if (Floats.Width == 16)
            Host<F, Floats16>(x, y);
        else if (Floats.Width == 8)
            Host<F, Floats8>(x, y);
        else
            Host<F, Floats4>(x, y);
    }

    public static void Host<F>(ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> result) where F : struct, IBinary
    {
        if (Floats.Width == 16)
            Host<F, Floats16>(x, y, result);
        else if (Floats.Width == 8)
            Host<F, Floats8>(x, y, result);
        else
            Host<F, Floats4>(x, y, result);
    }

    // The last elements go through the same vector code in a padded copy, so that a value never depends on its position.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Host<F, V>(ReadOnlySpan<float> x, Span<float> y) where F : struct, IUnary where V : struct, IFloats<V>
    {
        ref var from = ref MemoryMarshal.GetReference(x);
        ref var to = ref MemoryMarshal.GetReference(y);
        var i = 0;
        for (; i <= x.Length - V.Count; i += V.Count)
            V.Store(F.Value(V.Load(in from, i)), ref to, i);
        if (i == x.Length)
            return;

        Span<float> rest = stackalloc float[Floats.Widest];
        x[i..].CopyTo(rest);
        V.Store(F.Value(V.Load(in rest[0], 0)), ref rest[0], 0);
        rest[..(x.Length - i)].CopyTo(y[i..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Host<F, V>(ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<float> result)
        where F : struct, IBinary where V : struct, IFloats<V>
    {
        ref var left = ref MemoryMarshal.GetReference(x);
        ref var right = ref MemoryMarshal.GetReference(y);
        ref var to = ref MemoryMarshal.GetReference(result);
        var i = 0;
        for (; i <= x.Length - V.Count; i += V.Count)
            V.Store(F.Value(V.Load(in left, i), V.Load(in right, i)), ref to, i);
        if (i == x.Length)
            return;

        Span<float> rest = stackalloc float[2 * Floats.Widest];
        x[i..].CopyTo(rest);
        y[i..].CopyTo(rest[Floats.Widest..]);
        V.Store(F.Value(V.Load(in rest[0], 0), V.Load(in rest[0], Floats.Widest)), ref rest[0], 0);
        rest[..(x.Length - i)].CopyTo(result[i..]);
    }

    /// <summary>A run of elements of an F32 tensor, which itself may be too long for one span.</summary>
    public static unsafe Span<float> Part(Tensor tensor, long start, int length) => new((float*)tensor.Pointer + start, length);
}
