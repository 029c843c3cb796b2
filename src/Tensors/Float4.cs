using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Nibble.Tensors;

/// <summary>
/// The four-bit float E2M1: ±{0, 0.5, 1, 1.5, 2, 3, 4, 6}, bit 3 is the sign. "OCP Microscaling Formats" 1.0, table 5.
/// </summary>
public static class Float4
{
    /// <summary>The largest E2M1 number.</summary>
    public const float LargestE2M1 = 6;

    /// <summary>The sixteen numbers in the order of their codes.</summary>
    public static ReadOnlySpan<float> E2M1 => [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

    /// <summary>
    /// The E2M1 code nearest to a number, ties to the even code, saturating. The sign bit says value &lt; 0: it is kept where a
    /// negative number rounds to zero and not set for -0. A NaN becomes 7.
    /// </summary>
    public static int ToE2M1(float value)
    {
        var sign = value < 0 ? 8 : 0;
        var code = MathF.Abs(value) switch
        {
            <= 0.25f => 0,
            < 0.75f => 1,
            <= 1.25f => 2,
            < 1.75f => 3,
            <= 2.5f => 4,
            < 3.5f => 5,
            <= 5 => 6,
            _ => 7,
        };
        return sign | code;
    }

    /// <summary>The number behind the low four bits of a code.</summary>
    public static float FromE2M1(int code) => E2M1[code & 15];

    /// <summary>Sixteen times <see cref="ToE2M1(float)"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> ToE2M1(Vector512<float> values)
    {
        var sign = Vector512.LessThan(values, Vector512<float>.Zero).AsUInt32() & Vector512.Create(8u);
        var magnitude = values.AsInt32() & Vector512.Create(0x7FFF_FFFF);
        magnitude = Vector512.Min(magnitude, Vector512.Create(0x40C0_0000)); // 6
        var even = Vector512.ShiftRightLogical(magnitude, 22) & Vector512<int>.One;
        var normal = Vector512.ShiftRightLogical(magnitude + Vector512.Create(0x1F_FFFF) + even, 22) - Vector512.Create(126 << 1);
        // Below 1 the steps are 0.5, which is the ulp of 2^22.
        var subnormal = (magnitude.AsSingle() + Vector512.Create(4194304f)).AsInt32() - Vector512.Create(0x4A80_0000);
        var code = Vector512.ConditionalSelect(Vector512.LessThan(magnitude, Vector512.Create(0x3F80_0000)), subnormal, normal);
        return code.AsUInt32() | sign;
    }

    /// <summary>Sixteen times <see cref="FromE2M1(int)"/>; lanes hold 0 to 15.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FromE2M1(Vector512<uint> codes)
    {
        var shifted = Vector512.ShiftLeft(codes & Vector512.Create(7u), 22).AsInt32();
        var normal = shifted + Vector512.Create(126 << 23);
        // An exponent field of 0 means m/2 = (1 + m/2) - 1.
        var subnormal = (shifted + Vector512.Create(127 << 23)).AsSingle() - Vector512<float>.One;
        var value = Vector512.ConditionalSelect(
            Vector512.LessThan(shifted, Vector512.Create(1 << 23)), subnormal.AsInt32(), normal);
        return (value.AsUInt32() | Vector512.ShiftLeft(codes & Vector512.Create(8u), 28)).AsSingle();
    }
}
