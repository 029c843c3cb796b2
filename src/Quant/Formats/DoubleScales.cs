namespace Nibble.Quant.Formats;

/// <summary>
/// Scales that are quantized themselves ("double quantization" of QLoRA): without their mean, as signed bytes under one factor per
/// block, s ≈ code / factor + mean with factor = 127 / max |s - mean| of the block.
/// </summary>
/// <param name="Codes">One for each scale.</param>
/// <param name="Factors">One for each block; the last one may be shorter.</param>
/// <param name="Mean">Of all scales.</param>
/// <param name="Block">Scales that share a factor.</param>
public sealed record DoubleScales(sbyte[] Codes, float[] Factors, float Mean, int Block)
{
    /// <param name="block">Scales that share a factor; bitsandbytes takes 256.</param>
    public static DoubleScales Of(ReadOnlySpan<float> scales, int block = 256)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block);
        var sum = 0.0;
        foreach (var scale in scales)
            sum += scale;
        var mean = (float)(sum / Math.Max(1, scales.Length));
        var (codes, factors) = (new sbyte[scales.Length], new float[(scales.Length + block - 1) / block]);
        for (var i = 0; i < factors.Length; i++)
        {
            var from = i * block;
            var part = scales[from..Math.Min(from + block, scales.Length)];
            var largest = 0f;
            foreach (var scale in part)
                largest = Math.Max(largest, Math.Abs(scale - mean));
            factors[i] = 127 / Amax.ForScale(largest, 127);
            for (var j = 0; j < part.Length; j++)
                codes[from + j] = (sbyte)Math.Clamp(MathF.Round((part[j] - mean) * factors[i]), -127, 127);
        }
        return new DoubleScales(codes, factors, mean, block);
    }

    /// <summary>The numbers the codes stand for.</summary>
    public void CopyTo(Span<float> scales)
    {
        for (var i = 0; i < Codes.Length; i++)
            scales[i] = Codes[i] / Factors[i / Block] + Mean;
    }
}
