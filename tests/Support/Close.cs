namespace Nibble.Tests.Support;

/// <summary>
/// Floats against their definition in double. A NaN equals a NaN and an infinity only itself. Each tolerance is named here, with
/// the largest error measured over the tests that use it (all three vector widths).
/// </summary>
static class Close
{
    public const double Exponential = 1.3e-7; // 8.0e-8: one rounding of the result and some of the polynomial
    public const double Silu = 3e-7; // 1.8e-7
    public const double SwiGlu = 4e-7; // 2.9e-7
    public const double Gelu = 6e-7; // 4.2e-7, the polynomial for erfc having ten terms
    public const double GeluTanh = 2e-6; // 1.2e-6: the rounding of the exponent counts as often as the exponent is large
    public const double QuickGelu = 1e-6; // 7.0e-7, likewise
    public const double Tanh = 2e-7; // 1.8e-7, absolute
    public const double RmsNorm = 5e-7; // 3.2e-7
    public const double LayerNorm = 5e-7; // 2.4e-7 of the largest
    public const double Softmax = 3e-6; // 2.0e-6 where x is 35 below the maximum: half a unit in the last place of x - max
    public const double LogSoftmax = 2e-7; // 9.5e-8 of the largest
    public const double Rope = 2e-7; // 1.2e-7 of the largest: two products and a sum
    public const double Attention = 2e-6; // 1.1e-6 of the largest
    public const double GeluGradient = 3e-7; // 1.4e-7, with the tail
    public const double GeluGradientTail = 3e-7; // absolute: the two terms cancel where the slope crosses 0
    public const double SwiGluGradient = 3e-7; // 1.9e-7, with the tail
    public const double SwiGluGradientTail = 3e-7; // absolute, likewise
    public const double RmsNormGradient = 6e-7; // 3.0e-7 of the largest
    public const double LinearGradient = 1.2e-6; // 6.5e-7 of the largest: 257 terms in one chain
    public const double AttentionGradient = 1.5e-6; // 7.8e-7 of the largest
    public const double AttentionOfLargeScores = 1e-3; // 2.3e-4: scores near 10 000 have a unit in the last place of 1e-3

    /// <summary>
    /// Below it the definition 1 + tanh u has no digits left, and 1.702 x is rounded too coarsely for the exponent.
    /// </summary>
    public const double Tail = 1e-12;

    /// <summary>Where e^x overflows, the result is 0 instead of x·e^x: 2.6e-37 at -88.7.</summary>
    public const double Vanishing = 1e-36;

    public const double Subnormal = 2 * float.Epsilon;

    public const double RopeFrequencies = 1e-6; // asked of float32 implementations; ours are in double and within 1e-14
    public const double Probability = 1e-12; // recorded with 15 digits
    public const double LogLikelihood = 1e-11; // in double, magnitudes up to 100
    public const double Divergence = 2e-6; // asked of float32 implementations, relative to the larger of 1 and the value

    /// <summary>
    /// |expected - actual| at most <paramref name="relative"/> · |expected| + <paramref name="absolute"/>, element by element.
    /// The message names the element that is furthest off.
    /// </summary>
    public static void Assert(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double relative, double absolute = 0,
        string because = "")
    {
        Xunit.Assert.Equal(expected.Length, actual.Length);
        var (worst, excess) = (-1, 1.0);
        for (var i = 0; i < expected.Length; i++)
        {
            var ratio = Ratio(expected[i], actual[i], relative, absolute);
            if (ratio > excess)
                (worst, excess) = (i, ratio);
        }
        if (worst >= 0)
            Xunit.Assert.Fail($"Element {worst} of {expected.Length}: expected {expected[worst]:R}, got {actual[worst]:R}, " +
                $"{excess:G3} times the tolerance ({relative:G3} relative, {absolute:G3} absolute). {because}");
    }

    /// <inheritdoc cref="Assert(ReadOnlySpan{double}, ReadOnlySpan{float}, double, double, string)"/>
    public static void Assert(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, double relative, double absolute = 0,
        string because = "")
    {
        var wide = new double[expected.Length];
        for (var i = 0; i < wide.Length; i++)
            wide[i] = expected[i];
        Assert(wide, actual, relative, absolute, because);
    }

    /// <summary>The same with everything measured against the largest finite |expected|: for sums whose terms cancel.</summary>
    public static void Scaled(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, double relative, string because = "")
    {
        var scale = 0.0;
        foreach (var value in expected)
            if (double.IsFinite(value))
                scale = Math.Max(scale, Math.Abs(value));
        Assert(expected, actual, 0, relative * scale, because);
    }

    static double Ratio(double expected, double actual, double relative, double absolute)
    {
        if (double.IsNaN(expected) || double.IsNaN(actual))
            return double.IsNaN(expected) && double.IsNaN(actual) ? 0 : double.PositiveInfinity;
        // What rounds to an infinite float counts as infinite.
        if (double.IsInfinity((float)expected) || double.IsInfinity(actual))
            return (float)expected == actual ? 0 : double.PositiveInfinity;
        var difference = Math.Abs(expected - actual);
        return difference == 0 ? 0 : difference / (relative * Math.Abs(expected) + absolute);
    }
}
