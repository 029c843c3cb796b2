using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Nibble.Tensors.Ops;

/// <summary>16 floats in a 512-bit vector.</summary>
[method: MethodImpl(MethodImplOptions.AggressiveInlining)]
readonly struct Floats16(Vector512<float> lanes) : IFloats<Floats16>
{
    readonly Vector512<float> lanes = lanes;

    public static int Count => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Broadcast(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Load(ref readonly float source, nint offset) =>
        new(Vector512.LoadUnsafe(in source, (nuint)offset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Floats16 value, ref float destination, nint offset) =>
        value.lanes.StoreUnsafe(ref destination, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 operator +(Floats16 left, Floats16 right) => new(left.lanes + right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 operator -(Floats16 left, Floats16 right) => new(left.lanes - right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 operator *(Floats16 left, Floats16 right) => new(left.lanes * right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 operator /(Floats16 left, Floats16 right) => new(left.lanes / right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 MultiplyAdd(Floats16 a, Floats16 b, Floats16 c) =>
        new(Vector512.MultiplyAddEstimate(a.lanes, b.lanes, c.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Abs(Floats16 value) => new(Vector512.Abs(value.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Max(Floats16 left, Floats16 right) => new(Vector512.Max(left.lanes, right.lanes));

    // The native minimum and maximum return their second operand where one is NaN (x86) or the NaN (Arm).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Clamp(Floats16 value, float low, float high) =>
        new(Vector512.MinNative(Vector512.Create(high), Vector512.MaxNative(Vector512.Create(low), value.lanes)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Round(Floats16 value) => new(Vector512.Round(value.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Scale(Floats16 value, Floats16 power)
    {
        const int Bias = 127, MantissaBits = 23;
        var whole = Vector512.ConvertToInt32Native(power.lanes);
        var half = whole >> 1;
        var first = ((half + Vector512.Create(Bias)) << MantissaBits).AsSingle();
        var second = ((whole - half + Vector512.Create(Bias)) << MantissaBits).AsSingle();
        return new(value.lanes * first * second);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Less(Floats16 left, Floats16 right) => new(Vector512.LessThan(left.lanes, right.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 Select(Floats16 mask, Floats16 whenSet, Floats16 otherwise) =>
        new(Vector512.ConditionalSelect(mask.lanes, whenSet.lanes, otherwise.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats16 SwapPairs(Floats16 value) =>
        new(Vector512.Shuffle(value.lanes, Vector512.Create(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Floats16 value) => Vector512.Sum(value.lanes);
}
