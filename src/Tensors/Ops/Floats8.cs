using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Nibble.Tensors.Ops;

/// <summary>8 floats in a 256-bit vector.</summary>
[method: MethodImpl(MethodImplOptions.AggressiveInlining)]
readonly struct Floats8(Vector256<float> lanes) : IFloats<Floats8>
{
    readonly Vector256<float> lanes = lanes;

    public static int Count => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Broadcast(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Load(ref readonly float source, nint offset) =>
        new(Vector256.LoadUnsafe(in source, (nuint)offset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Floats8 value, ref float destination, nint offset) =>
        value.lanes.StoreUnsafe(ref destination, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 operator +(Floats8 left, Floats8 right) => new(left.lanes + right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 operator -(Floats8 left, Floats8 right) => new(left.lanes - right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 operator *(Floats8 left, Floats8 right) => new(left.lanes * right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 operator /(Floats8 left, Floats8 right) => new(left.lanes / right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 MultiplyAdd(Floats8 a, Floats8 b, Floats8 c) =>
        new(Vector256.MultiplyAddEstimate(a.lanes, b.lanes, c.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Abs(Floats8 value) => new(Vector256.Abs(value.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Max(Floats8 left, Floats8 right) => new(Vector256.Max(left.lanes, right.lanes));

    // The native minimum and maximum return their second operand where one is NaN (x86) or the NaN (Arm).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Clamp(Floats8 value, float low, float high) =>
        new(Vector256.MinNative(Vector256.Create(high), Vector256.MaxNative(Vector256.Create(low), value.lanes)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Round(Floats8 value) => new(Vector256.Round(value.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Scale(Floats8 value, Floats8 power)
    {
        const int Bias = 127, MantissaBits = 23;
        var whole = Vector256.ConvertToInt32Native(power.lanes);
        var half = whole >> 1;
        var first = ((half + Vector256.Create(Bias)) << MantissaBits).AsSingle();
        var second = ((whole - half + Vector256.Create(Bias)) << MantissaBits).AsSingle();
        return new(value.lanes * first * second);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Less(Floats8 left, Floats8 right) => new(Vector256.LessThan(left.lanes, right.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 Select(Floats8 mask, Floats8 whenSet, Floats8 otherwise) =>
        new(Vector256.ConditionalSelect(mask.lanes, whenSet.lanes, otherwise.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats8 SwapPairs(Floats8 value) =>
        new(Vector256.Shuffle(value.lanes, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Floats8 value) => Vector256.Sum(value.lanes);
}
