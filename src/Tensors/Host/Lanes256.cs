using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Nibble.Tensors.Host;

/// <summary>Eight floats, AVX2 with FMA.</summary>
readonly unsafe struct Lanes256 : ILanes<Vector256<float>>
{
    public static int Width => 8;

    public static int TileRows => 6;

    public static int TileTokens => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(float* source) => Vector256.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadBF16(ushort* source) =>
        (Avx2.ConvertToVector256Int32(Vector128.Load(source)) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> LoadF16(ushort* source)
    {
        // Signed comparisons suffice: magnitudes stay below 2³¹.
        var half = Avx2.ConvertToVector256Int32(Vector128.Load(source));
        var magnitude = (half & Vector256.Create(0x7FFF)) << 13;
        var bits = magnitude + Vector256.Create((int)Half16.Rebias);
        var infinite = Vector256.GreaterThan(magnitude, Vector256.Create((int)Half16.Infinite - 1));
        bits += infinite & Vector256.Create((int)Half16.Rebias);
        var subnormal = (bits + Vector256.Create((int)Half16.One)).AsSingle() - Vector256.Create(Half16.SmallestNormal);
        bits = Vector256.ConditionalSelect(
            Vector256.LessThan(magnitude, Vector256.Create((int)Half16.One)), subnormal.AsInt32(), bits);
        return (bits | ((half & Vector256.Create(0x8000)) << 16)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<float> value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> All(float value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Add(Vector256<float> left, Vector256<float> right) => left + right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> left, Vector256<float> right, Vector256<float> addend) =>
        Fma.MultiplyAdd(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector256<float> value) => Vector256.Sum(value);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose<E, T>(T* source, nint stride, float* destination, nint pitch)
        where E : struct, IElement<T> where T : unmanaged
    {
        Half<E, T>(source, stride, out var a0, out var a1, out var a2, out var a3);
        Half<E, T>(source + 4 * stride, stride, out var b0, out var b1, out var b2, out var b3);
        Columns(a0, b0, destination, pitch);
        Columns(a1, b1, destination + pitch, pitch);
        Columns(a2, b2, destination + 2 * pitch, pitch);
        Columns(a3, b3, destination + 3 * pitch, pitch);
    }

    /// <summary>Four rows; 128-bit lane l of result j holds column 4l + j of all four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Half<E, T>(T* source, nint stride,
        out Vector256<float> x0, out Vector256<float> x1, out Vector256<float> x2, out Vector256<float> x3)
        where E : struct, IElement<T> where T : unmanaged
    {
        var r0 = E.Load<Lanes256, Vector256<float>>(source);
        var r1 = E.Load<Lanes256, Vector256<float>>(source + stride);
        var r2 = E.Load<Lanes256, Vector256<float>>(source + 2 * stride);
        var r3 = E.Load<Lanes256, Vector256<float>>(source + 3 * stride);
        var low01 = Avx.UnpackLow(r0, r1).AsDouble();
        var high01 = Avx.UnpackHigh(r0, r1).AsDouble();
        var low23 = Avx.UnpackLow(r2, r3).AsDouble();
        var high23 = Avx.UnpackHigh(r2, r3).AsDouble();
        x0 = Avx.UnpackLow(low01, low23).AsSingle();
        x1 = Avx.UnpackHigh(low01, low23).AsSingle();
        x2 = Avx.UnpackLow(high01, high23).AsSingle();
        x3 = Avx.UnpackHigh(high01, high23).AsSingle();
    }

    /// <summary>Columns j and j + 4 from the two halves that hold them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Columns(Vector256<float> a, Vector256<float> b, float* to, nint pitch)
    {
        Avx.Permute2x128(a, b, 0x20).Store(to);
        Avx.Permute2x128(a, b, 0x31).Store(to + 4 * pitch);
    }
}
