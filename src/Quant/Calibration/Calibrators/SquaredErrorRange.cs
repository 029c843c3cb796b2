using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// The range of least Σ h·(Q(c) - c)² over the bins' centres c, tried at every centre from <c>startBin</c> on; the first of
/// equals. ModelOpt 0.47 states this formula but hands the number of bits to its rounding in a wrong place, so that its own
/// answer is always the first candidate; what is computed here is the formula.
/// </summary>
public static class SquaredErrorRange
{
    /// <summary>For a signed integer grid, ±(2^(bits-1) - 1) at the range.</summary>
    public static float OfInteger(MagnitudeHistogram histogram, int bits = 8, int startBin = 128, int stride = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bits, 2);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bits, 16);
        var largest = (float)((1 << (bits - 1)) - 1);
        return Search(histogram, startBin, stride, (x, range) =>
        {
            var scale = largest / range;
            return Math.Min(MathF.Round(x * scale), largest) / scale;
        });
    }

    /// <summary>For E4M3 with 448 at the range.</summary>
    public static float OfE4M3(MagnitudeHistogram histogram, int startBin = 128, int stride = 1) =>
        Search(histogram, startBin, stride, (x, range) =>
        {
            var scale = Float8.LargestE4M3 / range;
            return Float8.FromE4M3(Float8.ToE4M3(x * scale)) / scale;
        });

    static float Search(MagnitudeHistogram histogram, int startBin, int stride, Func<float, float, float> round)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(startBin);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stride);
        var counts = histogram.Counts;
        var filled = new List<(float Centre, double Count)>();
        for (var bin = 0; bin < counts.Length; bin++)
            if (counts[bin] > 0)
                filled.Add((histogram.Centre(bin), counts[bin]));

        var (best, least) = (histogram.Range, double.PositiveInfinity);
        for (var bin = startBin; bin < counts.Length; bin += stride)
        {
            var (range, error) = (histogram.Centre(bin), 0.0);
            foreach (var (centre, count) in filled)
            {
                double off = round(centre, range) - centre;
                error += off * off * count;
            }
            if (error < least)
                (best, least) = (range, error);
        }
        return best;
    }
}
