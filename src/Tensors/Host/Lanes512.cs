using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Nibble.Tensors.Host;

/// <summary>Sixteen floats, AVX-512.</summary>
readonly unsafe struct Lanes512 : ILanes<Vector512<float>>
{
    public static int Width => 16;

    public static int TileRows => 12;

    public static int TileTokens => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadBF16(ushort* source) =>
        (Avx512F.ConvertToVector512UInt32(Vector256.Load(source)) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> LoadF16(ushort* source)
    {
        var half = Avx512F.ConvertToVector512UInt32(Vector256.Load(source));
        var magnitude = (half & Vector512.Create(0x7FFFu)) << 13;
        var bits = magnitude + Vector512.Create(Half16.Rebias);
        bits += Vector512.GreaterThanOrEqual(magnitude, Vector512.Create(Half16.Infinite)) & Vector512.Create(Half16.Rebias);
        var subnormal = (bits + Vector512.Create(Half16.One)).AsSingle() - Vector512.Create(Half16.SmallestNormal);
        bits = Vector512.ConditionalSelect(
            Vector512.LessThan(magnitude, Vector512.Create(Half16.One)), subnormal.AsUInt32(), bits);
        return (bits | ((half & Vector512.Create(0x8000u)) << 16)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> All(float value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> left, Vector512<float> right) => left + right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyAdd(Vector512<float> left, Vector512<float> right, Vector512<float> addend) =>
        Avx512F.FusedMultiplyAdd(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector512<float> value) => Vector512.Sum(value);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose<E, T>(T* source, nint stride, float* destination, nint pitch)
        where E : struct, IElement<T> where T : unmanaged
    {
        Quarter<E, T>(source, stride, out var a0, out var a1, out var a2, out var a3);
        Quarter<E, T>(source + 4 * stride, stride, out var b0, out var b1, out var b2, out var b3);
        Quarter<E, T>(source + 8 * stride, stride, out var c0, out var c1, out var c2, out var c3);
        Quarter<E, T>(source + 12 * stride, stride, out var d0, out var d1, out var d2, out var d3);
        Columns(a0, b0, c0, d0, destination, pitch);
        Columns(a1, b1, c1, d1, destination + pitch, pitch);
        Columns(a2, b2, c2, d2, destination + 2 * pitch, pitch);
        Columns(a3, b3, c3, d3, destination + 3 * pitch, pitch);
    }

    /// <summary>Four rows; 128-bit lane l of result j holds column 4l + j of all four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Quarter<E, T>(T* source, nint stride,
        out Vector512<float> x0, out Vector512<float> x1, out Vector512<float> x2, out Vector512<float> x3)
        where E : struct, IElement<T> where T : unmanaged
    {
        var r0 = E.Load<Lanes512, Vector512<float>>(source);
        var r1 = E.Load<Lanes512, Vector512<float>>(source + stride);
        var r2 = E.Load<Lanes512, Vector512<float>>(source + 2 * stride);
        var r3 = E.Load<Lanes512, Vector512<float>>(source + 3 * stride);
        var low01 = Avx512F.UnpackLow(r0, r1).AsDouble();
        var high01 = Avx512F.UnpackHigh(r0, r1).AsDouble();
        var low23 = Avx512F.UnpackLow(r2, r3).AsDouble();
        var high23 = Avx512F.UnpackHigh(r2, r3).AsDouble();
        x0 = Avx512F.UnpackLow(low01, low23).AsSingle();
        x1 = Avx512F.UnpackHigh(low01, low23).AsSingle();
        x2 = Avx512F.UnpackLow(high01, high23).AsSingle();
        x3 = Avx512F.UnpackHigh(high01, high23).AsSingle();
    }

    /// <summary>Columns j, j + 4, j + 8 and j + 12 from the four quarters that hold them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Columns(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, float* to, nint pitch)
    {
        var even01 = Avx512F.Shuffle4x128(a, b, 0x88);
        var odd01 = Avx512F.Shuffle4x128(a, b, 0xDD);
        var even23 = Avx512F.Shuffle4x128(c, d, 0x88);
        var odd23 = Avx512F.Shuffle4x128(c, d, 0xDD);
        Avx512F.Shuffle4x128(even01, even23, 0x88).Store(to);
        Avx512F.Shuffle4x128(odd01, odd23, 0x88).Store(to + 4 * pitch);
        Avx512F.Shuffle4x128(even01, even23, 0xDD).Store(to + 8 * pitch);
        Avx512F.Shuffle4x128(odd01, odd23, 0xDD).Store(to + 12 * pitch);
    }
}
