using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>
/// SmoothQuant (G. Xiao et al., arXiv:2211.10438, equation 4) with ModelOpt's limits: the input of channel c is multiplied by
/// s = w^(1-α) / a^α, where w is the channel's largest weight and a its largest input, and the weights are divided by it.
/// </summary>
public static class SmoothQuant
{
    const float Nothing = 4.6566129e-10f; // 2^-31
    internal const float Smallest = 1e-4f;
    internal const float Largest = 1e4f;

    /// <summary>
    /// The multipliers of the inputs, in 1e-4 to 1e4. Where some multiplier comes out at most 2^-31, channels whose input is at
    /// most 2^-31 get 1; a channel without input gets the upper limit otherwise, and 1 if its weights are 0 as well.
    /// </summary>
    /// <param name="inputAmax">[in], a.</param>
    /// <param name="weight">[out, in] of any float type.</param>
    /// <param name="alpha">0 (only the weights count) to 1 (every input channel ends at 1).</param>
    /// <exception cref="QuantizationException">Shapes that do not fit, or numbers that are not finite.</exception>
    public static float[] Scales(ReadOnlySpan<float> inputAmax, Tensor weight, float alpha)
    {
        if (!(alpha is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "α is a number from 0 to 1.");
        var largest = LargestWeights(ChannelScaling.Matrix(weight, inputAmax.Length));
        var scales = new float[inputAmax.Length];
        for (var c = 0; c < scales.Length; c++)
            scales[c] = Scale(largest[c], inputAmax[c], alpha);
        var smallest = TensorPrimitives.Min<float>(scales);
        for (var c = 0; c < scales.Length; c++)
            scales[c] = smallest <= Nothing && inputAmax[c] <= Nothing ? 1 : Math.Clamp(scales[c], Smallest, Largest);
        return scales;
    }

    static float Scale(float weight, float input, float alpha)
    {
        var scale = (float)(Math.Pow(weight, 1.0 - alpha) / Math.Pow(input, alpha));
        return float.IsNaN(scale) ? 1 : scale; // 0 / 0
    }

    static float[] LargestWeights(Tensor weight)
    {
        var (largest, magnitudes) = (new float[weight.Columns], new float[weight.Columns]);
        for (var row = 0; row < weight.Rows; row++)
        {
            TensorPrimitives.Abs(weight.Row(row), magnitudes);
            TensorPrimitives.Max(largest, magnitudes, largest);
        }
        return largest;
    }
}
