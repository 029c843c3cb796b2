using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Tests.Quant;

/// <summary>
/// The weights ModelOpt 0.47 simulates quantization with, by plain definitions. They are not the numbers behind the codes it
/// exports: the simulation multiplies by a reciprocal where the export divides, so exact ties, common among BF16 weights, fall to
/// either side; every matrix has an NVFP4 scale of its own where the export shares one among fused matrices; and MXFP4 ties go to
/// even codes instead of toward zero.
/// </summary>
static class ModelOptFakeQuant
{
    const float LargestE4M3 = 448, LargestE2M1 = 6;

    /// <summary>A copy [out, in] F32, rounded.</summary>
    /// <param name="others">Matrices that are one with it: gate and up of an expert are one tensor, elsewhere there are none.</param>
    public static Tensor Weights(Tensor weight, WeightFormat format, params ReadOnlySpan<Tensor> others)
    {
        var simulated = Nibble.Tensors.Convert.ToF32(weight);
        var all = simulated.Span<float>();
        var peak = Peak(all);
        foreach (var other in others)
        {
            using var floats = Nibble.Tensors.Convert.ToF32(other);
            peak = Math.Max(peak, Peak(floats.Span<float>()));
        }
        if (format is Fp8Blocks)
        {
            Blocks(simulated);
            return simulated;
        }
        // The kernel for NVFP4 takes blocks of 16, also where the settings say 32.
        var group = format is NvFp4 ? NvFp4.BlockSize : format.Group switch { > 0 => format.Group, 0 => simulated.Columns, _ => all.Length };
        for (var at = 0; at < all.Length; at += group)
            Round(all.Slice(at, group), format, peak);
        return simulated;
    }

    static void Round(Span<float> group, WeightFormat format, float peak)
    {
        switch (format)
        {
            case Fp8 or Fp8PerChannel:
                var scale = 1 / (format is Fp8 ? peak : Peak(group)) * LargestE4M3; // torch divides a number by a tensor as reciprocal times number
                foreach (ref var x in group)
                    x = E4M3(x * scale) * (1 / scale);
                break;
            case Int8PerChannel:
                Integers(group, 127);
                break;
            case Int4:
                Integers(group, 7);
                break;
            case NvFp4:
                var g = peak / (LargestE2M1 * LargestE4M3);
                var s = E4M3(Peak(group) / (LargestE2M1 * g)) * g;
                foreach (ref var x in group)
                    x = E2M1(x / (s >= 1e-5f ? s : 1)) * (s >= 1e-5f ? s : 1);
                break;
            case MxFp4:
                Microscaled(group, LargestE2M1, E2M1);
                break;
            case MxFp8:
                Microscaled(group, LargestE4M3, E4M3);
                break;
            default:
                throw new ArgumentException($"no simulation of {format}", nameof(format));
        }
    }

    static void Blocks(Tensor weight)
    {
        const int Size = Fp8Blocks.BlockSize;
        for (var top = 0; top < weight.Rows; top += Size)
            for (var left = 0; left < weight.Columns; left += Size)
            {
                var peak = 0f;
                for (var row = top; row < Math.Min(top + Size, weight.Rows); row++)
                    peak = Math.Max(peak, Peak(weight.Row(row)[left..Math.Min(left + Size, weight.Columns)]));
                var scale = 1 / peak * LargestE4M3;
                for (var row = top; row < Math.Min(top + Size, weight.Rows); row++)
                    foreach (ref var x in weight.Row(row)[left..Math.Min(left + Size, weight.Columns)])
                        x = E4M3(x * scale) * (1 / scale);
            }
    }

    static void Integers(Span<float> group, int bound)
    {
        var scale = bound / Peak(group);
        foreach (ref var x in group)
            x = Math.Clamp(MathF.Round(x * scale), -bound - 1, bound) / scale;
    }

    /// <summary>Under 2^ceil(log2(peak / largest)), the exponent being exact.</summary>
    static void Microscaled(Span<float> group, float largest, Func<float, float> round)
    {
        var ratio = Peak(group) / largest;
        var exponent = ratio == 0 ? 0 : MathF.ILogB(ratio) + (MathF.ScaleB(1, MathF.ILogB(ratio)) < ratio ? 1 : 0);
        foreach (ref var x in group)
            x = MathF.ScaleB(round(MathF.ScaleB(x, -exponent)), exponent);
    }

    static float E4M3(float x) => Nearest(x, mantissaBits: 3, lowestExponent: -6, LargestE4M3);

    static float E2M1(float x) => Nearest(x, mantissaBits: 1, lowestExponent: 0, LargestE2M1);

    /// <summary>The nearest number of a small float, ties to the even one, saturating.</summary>
    static float Nearest(float x, int mantissaBits, int lowestExponent, float largest)
    {
        if (x == 0)
            return 0;
        var step = Math.ScaleB(1, Math.Max(Math.ILogB(x), lowestExponent) - mantissaBits);
        return (float)Math.Clamp(Math.Round(x / step) * step, -largest, largest);
    }

    static float Peak(ReadOnlySpan<float> values)
    {
        var peak = 0f;
        foreach (var x in values)
            peak = Math.Max(peak, MathF.Abs(x));
        return peak;
    }
}
