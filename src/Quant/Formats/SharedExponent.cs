using System.Runtime.CompilerServices;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// The power of two a block of a microscaling format shares, chosen so that the largest magnitude fits:
/// 2^ceil(log2(amax / largest)), stored with a bias of 127. ("OCP Microscaling Formats" 1.0, section 6.3, takes
/// floor(log2(amax)) - floor(log2(largest)) instead and lets the peak saturate.)
/// </summary>
static class SharedExponent
{
    /// <summary>Inputs that share an exponent.</summary>
    public const int Block = 32;

    /// <summary>
    /// As checkpoints are written: the logarithm is rounded to F32 before the ceiling, so a ratio just above a power of two
    /// may get the smaller exponent and its peak saturates. A block of zeros gets 0.
    /// </summary>
    public static byte OfWeights(float amax, float largest)
    {
        var ratio = amax / largest;
        var bits = BitConverter.SingleToInt32Bits(ratio);
        var (exponent, mantissa) = (bits >> 23, bits & 0x7F_FFFF);
        // log2(1 + 256/2^23) survives the rounding beside any exponent: only smaller mantissas, and subnormals, need the logarithm.
        if (exponent > 0 && (mantissa == 0 || mantissa >= 256))
            return (byte)(mantissa == 0 ? exponent : exponent + 1);
        return (byte)(Math.Max(MathF.Ceiling((float)Math.Log2(ratio)), -127) + 127);
    }

    /// <summary>As kernels round activations: exactly, and 127 (a scale of 1) for a block of zeros.</summary>
    public static byte OfActivations(float amax, float largest)
    {
        if (amax == 0)
            return 127;
        var bits = BitConverter.SingleToInt32Bits(amax / largest);
        var (exponent, mantissa) = (bits >> 23, bits & 0x7F_FFFF);
        var above = exponent == 0 ? mantissa > 0x40_0000 : mantissa > 0 && exponent < 254; // 2^-127 is the subnormal 0x400000
        return (byte)(above ? exponent + 1 : exponent);
    }

    /// <summary>The exponents of a row of weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ScaleRow(ReadOnlySpan<float> row, float largest, Span<byte> scales)
    {
        for (var block = 0; block < scales.Length; block++)
            scales[block] = OfWeights(Amax.Of(row.Slice(block * Block, Block)), largest);
    }

    /// <summary>The powers of two behind a row's exponents.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Decode(ReadOnlySpan<byte> scales, Span<float> groups)
    {
        for (var g = 0; g < scales.Length; g++)
            groups[g] = Float8.FromE8M0(scales[g]);
    }
}
