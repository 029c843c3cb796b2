namespace Nibble.Tensors.Ops;

/// <summary>What the frequencies of a rotary embedding depend on.</summary>
/// <param name="HeadDim">d, the width of a head.</param>
/// <param name="PartialRotaryFactor">The rotated share of a head: its first ⌊d · factor⌋ elements.</param>
/// <param name="Theta">The base of the geometric series of wavelengths.</param>
/// <param name="MaxPositionEmbeddings">The longest sequence the checkpoint claims.</param>
public sealed record RopeParameters(int HeadDim, double PartialRotaryFactor, double Theta, int MaxPositionEmbeddings,
    RopeScaling Scaling)
{
    public RopeParameters(int headDim, double theta) : this(headDim, 1, theta, int.MaxValue, new RopeScaling.Default()) { }

    /// <summary>r, the number of rotated elements of a head.</summary>
    public int RotaryDim => (int)(HeadDim * PartialRotaryFactor);
}

/// <summary>
/// How a rotary embedding is stretched beyond the length it was trained with: <c>rope_scaling</c> of a configuration.
/// </summary>
public abstract record RopeScaling
{
    RopeScaling() { }

    /// <summary>Not at all. arXiv:2104.09864, equation 15.</summary>
    public sealed record Default : RopeScaling;

    /// <summary>Positions divided by the factor. arXiv:2306.15595, equation 4.</summary>
    public sealed record Linear(double Factor) : RopeScaling;

    /// <summary>The base grows with the length of the sequence once it exceeds the trained one ("NTK-aware").</summary>
    public sealed record Dynamic(double Factor) : RopeScaling;

    /// <summary>Long wavelengths divided by the factor, short ones kept, those between blended. The rule of Llama 3.1.</summary>
    public sealed record Llama3(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalLength)
        : RopeScaling;

    /// <summary>
    /// Blended by the number of turns within the trained length. arXiv:2309.00071, section 3.2 and equation 22.
    /// </summary>
    /// <param name="BetaFast">Frequencies with more turns are kept.</param>
    /// <param name="BetaSlow">Frequencies with fewer turns are divided by the factor.</param>
    /// <param name="Truncate">The bounds of the blend are whole indices.</param>
    public sealed record Yarn(double Factor, int OriginalLength, double BetaFast = 32, double BetaSlow = 1, bool Truncate = true)
        : RopeScaling
    {
        /// <summary>Multiplies cos and sin.</summary>
        public double AttentionFactor { get; init; } = Magnitude(Factor);

        /// <summary>0.1·m·ln(factor) + 1, the growth that a longer softmax needs; 1 where nothing is stretched.</summary>
        public static double Magnitude(double factor, double m = 1) => factor <= 1 ? 1 : 0.1 * m * Math.Log(factor) + 1;
    }

    /// <summary>One divisor per frequency, from one of two lists by the length of the sequence. arXiv:2402.13753.</summary>
    /// <param name="ShortFactors">r/2 divisors up to the original length.</param>
    /// <param name="LongFactors">r/2 divisors beyond it; then also for its first positions.</param>
    /// <param name="ShortAttentionFactor">Multiplies cos and sin up to the original length.</param>
    /// <param name="LongAttentionFactor">Multiplies cos and sin beyond it.</param>
    public sealed record LongRope(int OriginalLength, IReadOnlyList<double> ShortFactors, IReadOnlyList<double> LongFactors,
        double ShortAttentionFactor, double LongAttentionFactor) : RopeScaling
    {
        /// <summary>√(1 + ln factor / ln original): the attention factor where a configuration gives none.</summary>
        /// <param name="factor">The one given, or max_position_embeddings / original.</param>
        public static double AttentionFactor(double factor, int originalLength) =>
            factor <= 1 ? 1 : Math.Sqrt(1 + Math.Log(factor) / Math.Log(originalLength));
    }
}
