using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// ModelOpt's <c>nvfp4_act_headroom</c>: a range for NVFP4 activations that leaves the E4M3 block scales room above what
/// calibration saw. With percentiles of the largest magnitudes of blocks of 16: max(2^14 · 1st, 99.99th). At 2^14 the small
/// blocks still have a block scale 2^-14 · 448 = 0.027, which E4M3 holds. Counts lie in 512 bins of log2 from -40 to 40. Merges
/// exactly.
/// </summary>
/// <param name="name">The module, for errors.</param>
public sealed class BlockHeadroom(string name) : IStatistic<BlockHeadroom>
{
    const int Bins = 512;
    const double Lowest = -40, Highest = 40;
    const double Ratio = 16384;

    readonly long[] counts = new long[Bins];

    /// <summary>Takes in one batch; blocks lie along the last dimension, and blocks of zeros do not count.</summary>
    /// <exception cref="QuantizationException">No F32, a NaN or an infinity.</exception>
    public void Observe(Tensor x)
    {
        StatisticTensors.CheckActivations(name, x, 0);
        for (var row = 0; row < x.Rows; row++)
        {
            ReadOnlySpan<float> values = x.Row(row);
            for (var at = 0; at < values.Length; at += NvFp4.BlockSize)
            {
                var amax = Amax.Of(values[at..Math.Min(at + NvFp4.BlockSize, values.Length)]);
                if (amax > 0)
                    counts[Math.Clamp((int)((Math.Log2(amax) - Lowest) / (Highest - Lowest) * Bins), 0, Bins - 1)]++;
            }
        }
    }

    /// <summary>The range; 0 where nothing but zeros was seen.</summary>
    /// <param name="anchor">The percentile of small blocks.</param>
    /// <param name="upper">The percentile of large blocks.</param>
    public float Range(double anchor = 1, double upper = 99.99) =>
        (float)Math.Max(Ratio * Percentile(anchor), Percentile(upper));

    public void Merge(BlockHeadroom other)
    {
        for (var bin = 0; bin < Bins; bin++)
            counts[bin] += other.counts[bin];
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() =>
        new Dictionary<string, Tensor> { ["block_counts"] = StatisticTensors.Of<long>(counts, DType.I64, Bins) };

    public static BlockHeadroom FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var counts = tensors.Counts(name, "block_counts");
        if (counts.Length != Bins)
            throw new QuantizationException($"{name}: block_counts must have {Bins} bins, found {counts.Length}");
        var result = new BlockHeadroom(name);
        counts.CopyTo(result.counts, 0);
        return result;
    }

    /// <summary>2 to the centre of the first bin up to which this share of the blocks lies.</summary>
    double Percentile(double percentile)
    {
        var total = counts.Sum();
        if (total == 0)
            return 0;
        var (bin, seen) = (0, counts[0]);
        while (bin < Bins - 1 && seen < percentile / 100 * total)
            seen += counts[++bin];
        return Math.Pow(2, Lowest + (bin + 0.5) * (Highest - Lowest) / Bins);
    }
}
