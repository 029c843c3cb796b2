namespace Nibble.Tensors.Ops;

/// <summary>The frequencies of a rotary embedding under every scaling rule. In double.</summary>
static class RopeFrequencies
{
    public static (double[] InverseFrequencies, double AttentionScaling) Of(RopeParameters p, int? length)
    {
        var dim = p.RotaryDim;
        if (p.HeadDim < 1 || dim < 2 || dim % 2 != 0 || dim > p.HeadDim)
            throw new ShapeException(
                $"Rope: the rotated part of a head must be even, from 2 to the head's width; got {dim} of {p.HeadDim}.");
        if (!(p.Theta > 0) || !double.IsFinite(p.Theta) || p.MaxPositionEmbeddings < 1)
            throw new ShapeException(
                $"Rope: theta and the number of positions must be positive; got {p.Theta} and {p.MaxPositionEmbeddings}.");

        return p.Scaling switch
        {
            RopeScaling.Linear linear => (Scaled(Series(dim, p.Theta), Positive(linear.Factor)), 1),
            RopeScaling.Dynamic dynamic => (Series(dim, DynamicTheta(p, Positive(dynamic.Factor), length)), 1),
            RopeScaling.Llama3 llama => (Llama3(Series(dim, p.Theta), llama), 1),
            RopeScaling.Yarn yarn => (Yarn(p, yarn), yarn.AttentionFactor),
            RopeScaling.LongRope rope when length > rope.OriginalLength =>
                (Divided(Series(dim, p.Theta), rope.LongFactors), rope.LongAttentionFactor),
            RopeScaling.LongRope rope => (Divided(Series(dim, p.Theta), rope.ShortFactors), rope.ShortAttentionFactor),
            _ => (Series(dim, p.Theta), 1),
        };
    }

    /// <summary>θ^(-2i/r). arXiv:2104.09864, equation 15.</summary>
    static double[] Series(int dim, double theta)
    {
        var result = new double[dim / 2];
        for (var i = 0; i < result.Length; i++)
            result[i] = 1 / Math.Pow(theta, 2.0 * i / dim);
        return result;
    }

    static double[] Scaled(double[] frequencies, double factor) => Array.ConvertAll(frequencies, frequency => frequency / factor);

    static double[] Divided(double[] frequencies, IReadOnlyList<double> factors)
    {
        if (factors.Count != frequencies.Length)
            throw new ShapeException($"Rope: {frequencies.Length} frequencies need as many factors; got {factors.Count}.");
        for (var i = 0; i < frequencies.Length; i++)
            frequencies[i] /= Positive(factors[i]);
        return frequencies;
    }

    static double DynamicTheta(RopeParameters p, double factor, int? length)
    {
        var stretch = (double)Math.Max(length ?? 0, p.MaxPositionEmbeddings) / p.MaxPositionEmbeddings;
        // One frequency alone is θ^0, whatever θ is; the exponent would be 2/0.
        return p.RotaryDim == 2 ? p.Theta
            : p.Theta * Math.Pow(factor * stretch - (factor - 1), p.RotaryDim / (p.RotaryDim - 2.0));
    }

    static double[] Llama3(double[] frequencies, RopeScaling.Llama3 rule)
    {
        Positive(rule.Factor);
        for (var i = 0; i < frequencies.Length; i++)
        {
            var turns = Positive(rule.OriginalLength) * frequencies[i] / (2 * Math.PI);
            if (turns < rule.LowFrequencyFactor)
                frequencies[i] /= rule.Factor;
            else if (turns <= rule.HighFrequencyFactor && rule.HighFrequencyFactor > rule.LowFrequencyFactor)
            {
                var smooth = (turns - rule.LowFrequencyFactor) / (rule.HighFrequencyFactor - rule.LowFrequencyFactor);
                frequencies[i] *= (1 - smooth) / rule.Factor + smooth;
            }
        }
        return frequencies;
    }

    static double[] Yarn(RopeParameters p, RopeScaling.Yarn rule)
    {
        var frequencies = Series(p.RotaryDim, p.Theta);
        double low = Index(Positive(rule.BetaFast)), high = Index(Positive(rule.BetaSlow));
        if (rule.Truncate)
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        low = Math.Max(low, 0);
        high = Math.Min(high, p.RotaryDim - 1);
        if (low == high)
            high += 0.001; // a step instead of 0/0

        Positive(rule.Factor);
        for (var i = 0; i < frequencies.Length; i++)
        {
            var stretched = Math.Clamp((i - low) / (high - low), 0, 1);
            frequencies[i] *= stretched / rule.Factor + (1 - stretched);
        }
        return frequencies;

        // The (fractional) index of the frequency that makes this many turns within the original length.
        double Index(double turns) =>
            p.RotaryDim * Math.Log(Positive(rule.OriginalLength) / (turns * 2 * Math.PI)) / (2 * Math.Log(p.Theta));
    }

    static double Positive(double value) => value > 0 && double.IsFinite(value) ? value
        : throw new ShapeException($"Rope: factors and lengths of a scaling rule must be positive; got {value}.");
}
