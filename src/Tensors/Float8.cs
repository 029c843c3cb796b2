using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Nibble.Tensors;

/// <summary>
/// Eight-bit floats. E4M3 (bias 7, no infinities, 0x7F and 0xFF are NaN) and E5M2 (bias 15, IEEE-like) after
/// "OCP 8-bit Floating Point Specification" 1.0, table 1; E8M0 (a power of two) after "OCP Microscaling Formats" 1.0, table 7.
/// All rounding is to nearest, ties to even.
/// </summary>
public static class Float8
{
    /// <summary>The largest finite E4M3 number.</summary>
    public const float LargestE4M3 = 448;

    /// <summary>The largest finite E5M2 number.</summary>
    public const float LargestE5M2 = 57344;

    const uint Magnitude = 0x7FFF_FFFF;
    const uint Infinity = 0x7F80_0000;

    static readonly float[] e4m3 = [.. Enumerable.Range(0, 256).Select(code => ComputeE4M3((byte)code))];

    /// <summary>The E4M3 code nearest to a number. Saturates: all from 448 on, infinity too, is ±448; a NaN stays one.</summary>
    public static byte ToE4M3(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        var sign = (byte)((bits >> 24) & 0x80);
        var magnitude = bits & Magnitude;
        if (magnitude > Infinity)
            return (byte)(sign | 0x7F);
        if (magnitude >= 0x43E0_0000) // 448
            return (byte)(sign | 0x7E);
        if (magnitude < 0x3C80_0000)  // 2^-6, the smallest normal number; below it the steps are 2^-9
            return (byte)(sign | (int)MathF.Round(MathF.Abs(value) * 512));
        return (byte)(sign | (RoundMantissa(magnitude, 3) - (120 << 3)));
    }

    /// <summary>The number behind an E4M3 code.</summary>
    public static float FromE4M3(byte code) => e4m3[code];

    /// <summary>The E5M2 code nearest to a number. Does not saturate: from 61440 on it is infinity; a NaN stays one.</summary>
    public static byte ToE5M2(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        var sign = (byte)((bits >> 24) & 0x80);
        var magnitude = bits & Magnitude;
        if (magnitude > Infinity)
            return (byte)(sign | 0x7F);
        if (magnitude >= 0x4770_0000) // 61440, half way from 57344 to 2^16
            return (byte)(sign | 0x7C);
        if (magnitude < 0x3880_0000)  // 2^-14; below it the steps are 2^-16
            return (byte)(sign | (int)MathF.Round(MathF.Abs(value) * 65536));
        return (byte)(sign | (RoundMantissa(magnitude, 2) - (112 << 2)));
    }

    /// <summary>The number behind an E5M2 code, which is the upper byte of an IEEE half.</summary>
    public static float FromE5M2(byte code) => (float)BitConverter.UInt16BitsToHalf((ushort)(code << 8));

    /// <summary>2^(code - 127); 0xFF is NaN.</summary>
    public static float FromE8M0(byte code) => code switch
    {
        0 => BitConverter.UInt32BitsToSingle(0x0040_0000), // 2^-127 is subnormal in F32
        0xFF => float.NaN,
        _ => BitConverter.UInt32BitsToSingle((uint)code << 23),
    };

    /// <summary>codes[i] = E4M3(values[i] / scale).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void EncodeE4M3(ReadOnlySpan<float> values, float scale, Span<byte> codes)
    {
        Expect.Length(codes.Length, values.Length);
        ref var source = ref MemoryMarshal.GetReference(values);
        ref var target = ref MemoryMarshal.GetReference(codes);
        var divisor = Vector512.Create(scale);
        var i = 0;
        for (; i <= values.Length - 16; i += 16)
            Narrow(ToE4M3(Vector512.LoadUnsafe(ref source, (nuint)i) / divisor)).StoreUnsafe(ref target, (nuint)i);
        for (; i < values.Length; i++)
            codes[i] = ToE4M3(values[i] / scale);
    }

    /// <summary>values[i] = E4M3⁻¹(codes[i]) · scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void DecodeE4M3(ReadOnlySpan<byte> codes, float scale, Span<float> values)
    {
        Expect.Length(codes.Length, values.Length);
        ref var source = ref MemoryMarshal.GetReference(codes);
        ref var target = ref MemoryMarshal.GetReference(values);
        var factor = Vector512.Create(scale);
        var i = 0;
        for (; i <= values.Length - 16; i += 16)
            (FromE4M3(Widen(Vector128.LoadUnsafe(ref source, (nuint)i))) * factor).StoreUnsafe(ref target, (nuint)i);
        for (; i < values.Length; i++)
            values[i] = FromE4M3(codes[i]) * scale;
    }

    /// <summary>values[i] = E4M3⁻¹(E4M3(values[i] · (1 / scale))) · scale, in place: the numbers a kernel with FP8 inputs sees.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RoundE4M3(Span<float> values, float scale)
    {
        ref var target = ref MemoryMarshal.GetReference(values);
        var inverse = 1 / scale;
        var i = 0;
        for (; i <= values.Length - 16; i += 16)
        {
            var codes = ToE4M3(Vector512.LoadUnsafe(ref target, (nuint)i) * Vector512.Create(inverse));
            (FromE4M3(codes) * Vector512.Create(scale)).StoreUnsafe(ref target, (nuint)i);
        }
        for (; i < values.Length; i++)
            values[i] = FromE4M3(ToE4M3(values[i] * inverse)) * scale;
    }

    /// <summary>Sixteen times <see cref="ToE4M3(float)"/>; the code is the low byte of each lane, the rest is zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> ToE4M3(Vector512<float> values)
    {
        var bits = values.AsUInt32();
        var sign = Vector512.ShiftRightLogical(bits, 24) & Vector512.Create(0x80u);
        var magnitude = (bits & Vector512.Create(Magnitude)).AsInt32(); // below 2^31, so signed comparisons will do
        var clamped = Vector512.Min(magnitude, Vector512.Create(0x43E0_0000));
        var even = Vector512.ShiftRightLogical(clamped, 20) & Vector512<int>.One;
        var normal = Vector512.ShiftRightLogical(clamped + Vector512.Create(0x7_FFFF) + even, 20) - Vector512.Create(120 << 3);
        // 2^14 has an ulp of 2^-9: adding it leaves the rounded number of steps in the low bits.
        var subnormal = (clamped.AsSingle() + Vector512.Create(16384f)).AsInt32() - Vector512.Create(0x4680_0000);
        var code = Vector512.ConditionalSelect(Vector512.LessThan(clamped, Vector512.Create(0x3C80_0000)), subnormal, normal);
        code = Vector512.ConditionalSelect(
            Vector512.GreaterThan(magnitude, Vector512.Create((int)Infinity)), Vector512.Create(0x7F), code);
        return code.AsUInt32() | sign;
    }

    /// <summary>Sixteen times <see cref="FromE4M3(byte)"/>, without a table. Lanes hold 0 to 255.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FromE4M3(Vector512<uint> codes)
    {
        var shifted = Vector512.ShiftLeft(codes & Vector512.Create(0x7Fu), 20).AsInt32();
        var normal = shifted + Vector512.Create(120 << 23);
        // An exponent field of 0 means m·2^-9 = (1 + m/8)·2^-6 - 2^-6; no F32 subnormal appears, which some cores compute slowly.
        var subnormal = (shifted + Vector512.Create(121 << 23)).AsSingle() - Vector512.Create(0.015625f);
        var value = Vector512.ConditionalSelect(
            Vector512.LessThan(shifted, Vector512.Create(1 << 23)), subnormal.AsInt32(), normal);
        value = Vector512.ConditionalSelect(
            Vector512.Equals(shifted, Vector512.Create(0x7F << 20)), Vector512.Create(0x7FC0_0000), value);
        var sign = Vector512.ShiftLeft(codes & Vector512.Create(0x80u), 24);
        return (value.AsUInt32() | sign).AsSingle();
    }

    /// <summary>Sixteen bytes as sixteen lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<uint> Widen(Vector128<byte> bytes)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ConvertToVector512UInt32(bytes);
        var (low, high) = Vector128.Widen(bytes);
        var (a, b) = Vector128.Widen(low);
        var (c, d) = Vector128.Widen(high);
        return Vector512.Create(Vector256.Create(a, b), Vector256.Create(c, d));
    }

    /// <summary>The low bytes of sixteen lanes whose other bytes are zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector128<byte> Narrow(Vector512<uint> lanes)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ConvertToVector128Byte(lanes);
        var words = Vector256.Narrow(lanes.GetLower(), lanes.GetUpper());
        return Vector128.Narrow(words.GetLower(), words.GetUpper());
    }

    /// <summary>The exponent field and the upper mantissa bits of a normal number, rounded to nearest even.</summary>
    static int RoundMantissa(uint magnitude, int bits)
    {
        var shift = 23 - bits;
        return (int)((magnitude + (1u << (shift - 1)) - 1 + ((magnitude >> shift) & 1)) >> shift);
    }

    static float ComputeE4M3(byte code)
    {
        var (exponent, mantissa) = ((code >> 3) & 15, code & 7);
        var magnitude = (code & 0x7F) == 0x7F ? BitConverter.UInt32BitsToSingle(0x7FC0_0000) // float.NaN has its sign bit set
            : exponent == 0 ? mantissa * MathF.ScaleB(1, -9)
            : MathF.ScaleB(1 + mantissa / 8f, exponent - 7);
        return (code & 0x80) != 0 ? -magnitude : magnitude;
    }
}
