using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>One α of an AWQ search and the output error it gives.</summary>
public readonly record struct AwqLoss(float Alpha, double Loss);

/// <summary>What an AWQ search chose for one layer.</summary>
/// <param name="Alpha">Null where there was nothing to choose by; the scales are then 1.</param>
/// <param name="Losses">Of every α tried, in ascending order: Σ over calls of the mean squared output error.</param>
/// <param name="WeightScale">[in], what the weights are multiplied with.</param>
/// <param name="PreQuantScale">[in], 1 / <paramref name="WeightScale"/>, what the inputs are multiplied with.</param>
/// <param name="InputAmax">The largest scaled input.</param>
/// <param name="Unsearched">Why nothing was searched, or null.</param>
public sealed record AwqResult(
    float? Alpha,
    IReadOnlyList<AwqLoss> Losses,
    float[] WeightScale,
    float[] PreQuantScale,
    float InputAmax,
    string? Unsearched = null);

/// <summary>
/// AWQ (J. Lin et al., arXiv:2306.00978, section 3.2) as ModelOpt's <c>awq_lite</c> searches it. With x̄ the mean |input| of a
/// channel and w̄ its mean |weight| relative to the largest of its block: s = x̄^α / w̄^(1-α), limited to 1e-4 … 1e4, divided by
/// √(max s · min s); α of least error of (x / s)·Q(W·s)ᵀ against x·Wᵀ, the first of equals.
/// </summary>
public static class Awq
{
    const float Tiny = 1.17549435e-38f; // the smallest normal F32

    /// <summary>Searches α on a grid from 0 to 1.</summary>
    /// <param name="weight">[out, in] of any float type.</param>
    /// <param name="step">Between two α; 0.1 gives eleven.</param>
    /// <exception cref="QuantizationException">Shapes that do not fit, or weights that are not finite.</exception>
    public static AwqResult Search(AwqInputs inputs, Tensor weight, WeightFormat format, double step = 0.1)
    {
        if (!(step is > 0.001 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(step), step, "A step is above 0.001 and at most 1.");
        var matrix = ChannelScaling.Matrix(weight, inputs.Width, inputs.Name);
        if (inputs.Calls == 0)
            return Neutral(inputs, "no tokens");

        var rounding = SimulatedRounding.Of(format);
        var means = inputs.MeanMagnitude();
        var relative = RelativeMagnitude(matrix, format.Group);
        var losses = new List<AwqLoss>();
        var (best, chosen) = (0, Array.Empty<float>());
        for (var i = 0; i * step < 1 + step / 2; i++)
        {
            var alpha = (float)(i * step);
            var scale = Scale(means, relative, alpha);
            losses.Add(new AwqLoss(alpha, Loss(inputs, matrix, scale, rounding)));
            if (i == 0 || losses[i].Loss < losses[best].Loss)
                (best, chosen) = (i, scale);
        }
        if (!double.IsFinite(losses[best].Loss))
            return Neutral(inputs, $"a loss of {losses[best].Loss}");
        float[] inverse = [.. chosen.Select(s => 1 / s)];
        return new AwqResult(
            losses[best].Alpha, losses, chosen, inverse, ChannelScaling.InputAmax(inputs.Amax, inverse));
    }

    /// <summary>w̄: per channel the mean over rows of |w| / (amax of its block + tiny).</summary>
    internal static float[] RelativeMagnitude(Tensor weight, int group)
    {
        var length = group > 0 ? group : weight.Columns;
        var sums = new double[weight.Columns];
        for (var row = 0; row < weight.Rows; row++)
        {
            ReadOnlySpan<float> values = weight.Row(row);
            for (var start = 0; start < values.Length; start += length)
            {
                var block = values[start..Math.Min(start + length, values.Length)];
                var amax = Amax.Of(block) + Tiny;
                for (var i = 0; i < block.Length; i++)
                    sums[start + i] += MathF.Abs(block[i]) / amax;
            }
        }
        return [.. sums.Select(sum => (float)(sum / weight.Rows))];
    }

    internal static float[] Scale(ReadOnlySpan<float> means, ReadOnlySpan<float> relative, float alpha)
    {
        var scale = new float[means.Length];
        for (var c = 0; c < scale.Length; c++)
        {
            var value = Math.Pow(means[c], alpha) / (Math.Pow(relative[c], 1 - alpha) + Tiny);
            scale[c] = (float)Math.Clamp(value, SmoothQuant.Smallest, SmoothQuant.Largest);
        }
        var middle = MathF.Sqrt(TensorPrimitives.Max<float>(scale) * TensorPrimitives.Min<float>(scale));
        TensorPrimitives.Divide(scale, middle, scale);
        return scale;
    }

    /// <summary>
    /// The error of rounding W·s, seen at the layer's output. The inputs are multiplied by 1 / s, itself rounded to F32.
    /// </summary>
    static double Loss(AwqInputs inputs, Tensor weight, float[] scale, SimulatedRounding rounding)
    {
        using var scaled = ChannelScaling.Multiply(weight, scale);
        using var difference = Tensor.Empty(weight.Shape);
        rounding.Round(scaled, rounding.Ranges(scaled), difference);
        for (var row = 0; row < weight.Rows; row++)
        {
            var rounded = difference.Row(row);
            ReadOnlySpan<float> original = weight.Row(row);
            for (var c = 0; c < rounded.Length; c++)
                rounded[c] = rounded[c] * (1 / scale[c]) - original[c];
        }
        return inputs.OutputError(difference);
    }

    /// <summary>One batch's share of a loss, from the inputs themselves and in double.</summary>
    internal static double PlainLoss(Tensor x, Tensor weight, float[] scale, SimulatedRounding rounding)
    {
        using var scaled = ChannelScaling.Multiply(weight, scale);
        using var rounded = Tensor.Empty(weight.Shape);
        rounding.Round(scaled, rounding.Ranges(scaled), rounded);
        var sum = 0.0;
        for (var token = 0; token < x.Rows; token++)
            for (var row = 0; row < weight.Rows; row++)
            {
                var error = 0.0;
                for (var c = 0; c < scale.Length; c++)
                    error += x.Row(token)[c] * ((double)rounded.Row(row)[c] / scale[c] - weight.Row(row)[c]);
                sum += error * error;
            }
        return sum / x.Rows / weight.Rows;
    }

    static AwqResult Neutral(AwqInputs inputs, string reason)
    {
        float[] ones = [.. Enumerable.Repeat(1f, inputs.Width)];
        return new AwqResult(null, [], ones, ones, ChannelScaling.InputAmax(inputs.Amax, ones), reason);
    }
}
