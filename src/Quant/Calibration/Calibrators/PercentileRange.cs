namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>A range that leaves out the largest magnitudes.</summary>
public static class PercentileRange
{
    /// <summary>
    /// The left edge of the first bin up to which at least this share of the counts lies, as ModelOpt takes it: percentile 100 is
    /// below the maximum. 0 for an empty histogram.
    /// </summary>
    /// <param name="percentile">0 to 100.</param>
    public static float Of(MagnitudeHistogram histogram, double percentile = 99.99)
    {
        if (!(percentile is >= 0 and <= 100))
            throw new ArgumentOutOfRangeException(nameof(percentile), percentile, "A percentile is a number from 0 to 100.");
        var counts = histogram.Counts;
        var total = 0L;
        foreach (var count in counts)
            total += count;
        if (total == 0)
            return 0;
        var (bin, share) = (0, 0.0);
        for (; bin < counts.Length; bin++)
        {
            share += counts[bin] / (double)total;
            if (share >= percentile / 100)
                break;
        }
        return histogram.Edge(bin);
    }
}
