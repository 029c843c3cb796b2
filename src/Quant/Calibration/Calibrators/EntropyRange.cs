namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// The range whose quantized distribution is nearest to the observed one (S. Migacz, "8-bit inference with TensorRT", 2017), in
/// ModelOpt's form: bin 0 takes the count of bin 1; the first i bins, whose last takes all counts beyond, are compared with their
/// averages over 2^(bits-1) equal stretches (2^bits when unsigned), taken over bins that are not empty.
/// The result is the edge i of the last least divergence.
/// </summary>
public static class EntropyRange
{
    /// <param name="bits">Of the integer grid.</param>
    /// <param name="unsigned">Whether the grid has no negative numbers.</param>
    /// <param name="startBin">The fewest bins kept.</param>
    /// <param name="stride">Between candidates.</param>
    /// <returns>The range; the histogram's own where it has fewer than <paramref name="startBin"/> bins or no counts.</returns>
    public static float Of(MagnitudeHistogram histogram, int bits = 8, bool unsigned = false, int startBin = 128, int stride = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, 16);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(startBin);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stride);
        var sums = new Sums(WithoutZeros(histogram.Counts));
        var stretches = 1 << (bits - 1 + (unsigned ? 1 : 0));
        var (best, least) = (histogram.Counts.Length, double.PositiveInfinity);
        for (var kept = startBin; kept <= histogram.Counts.Length; kept += stride)
        {
            var divergence = sums.Divergence(kept, stretches);
            if (divergence <= least && double.IsFinite(divergence))
                (best, least) = (kept, divergence);
        }
        return histogram.Edge(best);
    }

    /// <summary>KL(observed ‖ quantized) when the first <paramref name="kept"/> bins are kept, written out.</summary>
    internal static double PlainDivergence(long[] counts, int kept, int stretches)
    {
        var step = kept / (double)stretches;
        double[] observed = [.. counts.Take(kept).Select(count => (double)count)];
        observed[^1] += counts.Skip(kept).Sum();
        var quantized = new double[kept];
        for (var s = 0; s < stretches; s++)
        {
            var end = s == stretches - 1 ? kept : (s + 1) * step;
            int[] bins = [.. Enumerable.Range(0, kept).Where(bin => bin >= s * step && bin < end && counts[bin] > 0)];
            foreach (var bin in bins)
                quantized[bin] = bins.Average(other => (double)counts[other]);
        }
        var (all, allQuantized) = (observed.Sum(), quantized.Sum());
        return Enumerable.Range(0, kept).Where(bin => observed[bin] > 0)
            .Sum(bin => observed[bin] / all * Math.Log(observed[bin] / all / (quantized[bin] / allQuantized)));
    }

    internal static long[] WithoutZeros(ReadOnlySpan<long> counts)
    {
        var copy = counts.ToArray();
        if (copy.Length > 1)
            copy[0] = copy[1];
        return copy;
    }

    /// <summary>Running sums, with which a divergence takes a step per stretch instead of one per bin.</summary>
    internal sealed class Sums
    {
        readonly long[] counts;
        readonly long[] count;      // Σ h of the bins before
        readonly int[] filled;      // how many of them are not empty
        readonly double[] logs;     // Σ h·log h

        public Sums(long[] counts)
        {
            this.counts = counts;
            count = new long[counts.Length + 1];
            filled = new int[counts.Length + 1];
            logs = new double[counts.Length + 1];
            for (var bin = 0; bin < counts.Length; bin++)
            {
                count[bin + 1] = count[bin] + counts[bin];
                filled[bin + 1] = filled[bin] + (counts[bin] > 0 ? 1 : 0);
                logs[bin + 1] = logs[bin] + TimesLog(counts[bin]);
            }
        }

        /// <summary>
        /// With a the average of a bin's stretch, P all counts and Q those kept: Σ p/P · log(p/P · Q/a), where p is h, and at the
        /// last bin h + tail.
        /// </summary>
        public double Divergence(int kept, int stretches)
        {
            var (all, inside) = (count[^1], count[kept]);
            var tail = all - inside;
            if (inside == 0 || (tail > 0 && counts[kept - 1] == 0))
                return double.PositiveInfinity;
            var step = kept / (double)stretches;
            var (sum, lastAverage, start) = (logs[kept - 1] + TimesLog(counts[kept - 1] + tail), 1.0, 0);
            for (var s = 0; s < stretches; s++)
            {
                var end = s == stretches - 1 ? kept : (int)Math.Ceiling((s + 1) * step);
                var total = count[end] - count[start];
                if (total > 0)
                {
                    lastAverage = total / (double)(filled[end] - filled[start]);
                    sum -= total * Math.Log(lastAverage);
                }
                start = end;
            }
            return (sum - tail * Math.Log(lastAverage)) / all - Math.Log(all / (double)inside);
        }

        static double TimesLog(long value) => value == 0 ? 0 : value * Math.Log(value);
    }
}
