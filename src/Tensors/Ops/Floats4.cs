using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Nibble.Tensors.Ops;

/// <summary>4 floats in a 128-bit vector.</summary>
[method: MethodImpl(MethodImplOptions.AggressiveInlining)]
readonly struct Floats4(Vector128<float> lanes) : IFloats<Floats4>
{
    readonly Vector128<float> lanes = lanes;

    public static int Count => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Broadcast(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Load(ref readonly float source, nint offset) =>
        new(Vector128.LoadUnsafe(in source, (nuint)offset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Floats4 value, ref float destination, nint offset) =>
        value.lanes.StoreUnsafe(ref destination, (nuint)offset);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 operator +(Floats4 left, Floats4 right) => new(left.lanes + right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 operator -(Floats4 left, Floats4 right) => new(left.lanes - right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 operator *(Floats4 left, Floats4 right) => new(left.lanes * right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 operator /(Floats4 left, Floats4 right) => new(left.lanes / right.lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 MultiplyAdd(Floats4 a, Floats4 b, Floats4 c) =>
        new(Vector128.MultiplyAddEstimate(a.lanes, b.lanes, c.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Abs(Floats4 value) => new(Vector128.Abs(value.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Max(Floats4 left, Floats4 right) => new(Vector128.Max(left.lanes, right.lanes));

    // The native minimum and maximum return their second operand where one is NaN (x86) or the NaN (Arm).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Clamp(Floats4 value, float low, float high) =>
        new(Vector128.MinNative(Vector128.Create(high), Vector128.MaxNative(Vector128.Create(low), value.lanes)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Round(Floats4 value) => new(Vector128.Round(value.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Scale(Floats4 value, Floats4 power)
    {
        const int Bias = 127, MantissaBits = 23;
        var whole = Vector128.ConvertToInt32Native(power.lanes);
        var half = whole >> 1;
        var first = ((half + Vector128.Create(Bias)) << MantissaBits).AsSingle();
        var second = ((whole - half + Vector128.Create(Bias)) << MantissaBits).AsSingle();
        return new(value.lanes * first * second);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Less(Floats4 left, Floats4 right) => new(Vector128.LessThan(left.lanes, right.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 Select(Floats4 mask, Floats4 whenSet, Floats4 otherwise) =>
        new(Vector128.ConditionalSelect(mask.lanes, whenSet.lanes, otherwise.lanes));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats4 SwapPairs(Floats4 value) =>
        new(Vector128.Shuffle(value.lanes, Vector128.Create(1, 0, 3, 2)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Floats4 value) => Vector128.Sum(value.lanes);
}
