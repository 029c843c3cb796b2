using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Nibble.Tensors.Host;

/// <summary>Four floats, in whatever way the runtime offers: SSE, NEON, or plain code.</summary>
readonly unsafe struct Lanes128 : ILanes<Vector128<float>>
{
    public static int Width => 4;

    public static int TileRows => 6;

    public static int TileTokens => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load(float* source) => Vector128.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadBF16(ushort* source) => (Widen(source) << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> LoadF16(ushort* source)
    {
        // Signed comparisons suffice: magnitudes stay below 2³¹.
        var half = Widen(source);
        var magnitude = (half & Vector128.Create(0x7FFF)) << 13;
        var bits = magnitude + Vector128.Create((int)Half16.Rebias);
        var infinite = Vector128.GreaterThan(magnitude, Vector128.Create((int)Half16.Infinite - 1));
        bits += infinite & Vector128.Create((int)Half16.Rebias);
        var subnormal = (bits + Vector128.Create((int)Half16.One)).AsSingle() - Vector128.Create(Half16.SmallestNormal);
        bits = Vector128.ConditionalSelect(
            Vector128.LessThan(magnitude, Vector128.Create((int)Half16.One)), subnormal.AsInt32(), bits);
        return (bits | ((half & Vector128.Create(0x8000)) << 16)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector128<float> value, float* destination) => value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> All(float value) => Vector128.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Add(Vector128<float> left, Vector128<float> right) => left + right;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> MultiplyAdd(Vector128<float> left, Vector128<float> right, Vector128<float> addend) =>
        Vector128.MultiplyAddEstimate(left, right, addend);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector128<float> value) => Vector128.Sum(value);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Transpose<E, T>(T* source, nint stride, float* destination, nint pitch)
        where E : struct, IElement<T> where T : unmanaged
    {
        T* r0 = source, r1 = r0 + stride, r2 = r1 + stride, r3 = r2 + stride;
        for (var k = 0; k < 4; k++)
            Vector128.Create(E.Load(r0 + k), E.Load(r1 + k), E.Load(r2 + k), E.Load(r3 + k)).Store(destination + k * pitch);
    }

    /// <summary>Four 16-bit values, read as one 64-bit load so that nothing beyond them is touched.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<int> Widen(ushort* source) =>
        Vector128.WidenLower(Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<ulong>(source)).AsUInt16()).AsInt32();
}
