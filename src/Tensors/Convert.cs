using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Nibble.Tensors.Host;

namespace Nibble.Tensors;

/// <summary>Between element types. BF16 and F16 round to nearest, ties to even.</summary>
public static class Convert
{
    // Elements that one thread converts at a time.
    const int RunElements = 1 << 18;

    /// <summary>A copy in F32; F64 is rounded. Integer and FP8 tensors are refused: their meaning needs a scale.</summary>
    public static unsafe Tensor ToF32(Tensor source)
    {
        var result = Tensor.Empty(source.Shape);
        var runs = checked((int)((source.Elements + RunElements - 1) / RunElements));
        Threads.For(runs, 1, (start, end) =>
        {
            var first = (long)start * RunElements;
            var count = (int)Math.Min(RunElements, source.Elements - first);
            ToF32(source, first, new Span<float>((float*)result.Pointer + first, count));
        });
        return result;
    }

    /// <summary>Elements [start, start + destination.Length) as F32.</summary>
    public static unsafe void ToF32(Tensor source, long start, Span<float> destination)
    {
        if (start < 0 || start > source.Elements - destination.Length)
            throw new ShapeException($"Convert: {source} has no elements {start} to {start + destination.Length}.");
        switch (source.DType)
        {
            case DType.F32:
                new ReadOnlySpan<float>((float*)source.Pointer + start, destination.Length).CopyTo(destination);
                break;
            case DType.BF16:
                FromBF16(new ReadOnlySpan<ushort>((ushort*)source.Pointer + start, destination.Length), destination);
                break;
            case DType.F16:
                TensorPrimitives.ConvertToSingle(
                    new ReadOnlySpan<Half>((Half*)source.Pointer + start, destination.Length), destination);
                break;
            case DType.F64:
                TensorPrimitives.ConvertTruncating<double, float>(
                    new ReadOnlySpan<double>((double*)source.Pointer + start, destination.Length), destination);
                break;
            default:
                throw new ShapeException($"Convert: {source} holds {source.DType.Name()}, which is no plain number.");
        }
    }

    /// <exception cref="ArgumentException">The destination is shorter than the source.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FromBF16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        Fits(source.Length, destination.Length);
        ref var from = ref MemoryMarshal.GetReference(source);
        ref var to = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(destination));
        var i = 0;
        for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Widen(Vector.LoadUnsafe(ref from, (nuint)i), out var low, out var high);
            (low << 16).StoreUnsafe(ref to, (nuint)i);
            (high << 16).StoreUnsafe(ref to, (nuint)(i + Vector<uint>.Count));
        }
        for (; i < source.Length; i++)
            destination[i] = BF16ToSingle(source[i]);
    }

    /// <exception cref="ArgumentException">The destination is shorter than the source.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ToBF16(ReadOnlySpan<float> source, Span<ushort> destination)
    {
        Fits(source.Length, destination.Length);
        ref var from = ref MemoryMarshal.GetReference(source);
        ref var to = ref MemoryMarshal.GetReference(destination);
        var i = 0;
        for (; i <= source.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
            Vector.Narrow(Round(Vector.LoadUnsafe(ref from, (nuint)i)),
                Round(Vector.LoadUnsafe(ref from, (nuint)(i + Vector<float>.Count)))).StoreUnsafe(ref to, (nuint)i);
        for (; i < source.Length; i++)
            destination[i] = SingleToBF16(source[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float BF16ToSingle(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>Nearest BF16, ties to even; a NaN stays a (quiet) NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort SingleToBF16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary><see cref="SingleToBF16"/> of every element, in the low halves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector<uint> Round(Vector<float> values)
    {
        var bits = Vector.AsVectorUInt32(values);
        var upper = bits >>> 16;
        var rounded = (bits + new Vector<uint>(0x7FFF) + (upper & Vector<uint>.One)) >>> 16;
        var number = Vector.AsVectorUInt32(Vector.Equals(values, values));
        return Vector.ConditionalSelect(number, rounded, upper | new Vector<uint>(0x40));
    }

    static void Fits(int source, int destination)
    {
        if (destination < source)
            throw new ArgumentException($"Convert: {source} elements do not fit in {destination}.");
    }
}
