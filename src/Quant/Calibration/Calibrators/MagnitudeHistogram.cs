using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// Counts of |x| in bins of one width. The first batch with anything but zeros sets the width to its maximum / bins; a later
/// batch with a larger maximum adds bins of that width, ceil(maximum / width) in all, as ModelOpt's histogram calibrator does.
/// <para>Unlike there, at <see cref="MostBins"/> bins neighbours are joined and the width doubles.</para>
/// <para>Histograms of one width merge exactly. Of two widths the finer one's bins are moved whole, by their centres.</para>
/// </summary>
public sealed class MagnitudeHistogram : IStatistic<MagnitudeHistogram>
{
    /// <summary>More are never kept: a first batch of tiny numbers would else ask for any amount of memory.</summary>
    public const int MostBins = 1 << 16;

    readonly string name;
    readonly int firstBins;
    readonly bool skipZeros;
    long[] counts = [];
    long earlyZeros; // seen before there was a width

    /// <param name="name">The module, for errors.</param>
    /// <param name="bins">Bins over the first batch.</param>
    /// <param name="skipZeros">Whether zeros are left out, for instance after a ReLU.</param>
    public MagnitudeHistogram(string name, int bins = 2048, bool skipZeros = false)
    {
        if (bins is < 1 or > MostBins)
            throw new ArgumentOutOfRangeException(nameof(bins), bins, $"A histogram has 1 to {MostBins} bins.");
        (this.name, firstBins, this.skipZeros) = (name, bins, skipZeros);
    }

    /// <summary>
    /// How many magnitudes lie from <see cref="Edge"/>(i) up to, but for the last bin, below <see cref="Edge"/>(i + 1).
    /// </summary>
    public ReadOnlySpan<long> Counts => counts;

    /// <summary>Of every bin; 0 as long as there are none.</summary>
    public float Width { get; private set; }

    /// <summary>The upper edge of the last bin.</summary>
    public float Range => Edge(counts.Length);

    public float Edge(int bin) => (float)(bin * (double)Width);

    /// <summary>The middle of a bin, rounded as edges are.</summary>
    public float Centre(int bin) => (Edge(bin) + Edge(bin + 1)) / 2;

    /// <summary>Takes in one batch of any shape.</summary>
    /// <exception cref="QuantizationException">No F32, a NaN or an infinity.</exception>
    public void Observe(Tensor x)
    {
        var largest = StatisticTensors.CheckActivations(name, x, 0);
        if (counts.Length == 0 && largest > 0)
            Start(largest);
        if (largest > Range)
            Grow(largest);
        var range = Range;
        for (var row = 0; row < x.Rows; row++)
            foreach (var value in x.Row(row))
            {
                if (value == 0 && skipZeros)
                    continue;
                if (counts.Length == 0)
                    earlyZeros++;
                else
                    counts[Bin(MathF.Abs(value), counts.Length, range)]++;
            }
    }

    public void Merge(MagnitudeHistogram other)
    {
        if (other.counts.Length == 0)
        {
            (counts.Length > 0 ? ref counts[0] : ref earlyZeros) += other.earlyZeros;
            return;
        }
        if (counts.Length == 0)
            (counts, Width) = (new long[1], other.Width);
        if (Width < other.Width)
            (counts, Width) = (Moved(counts, Width, other.Width), other.Width);
        var added = Width == other.Width ? other.counts : Moved(other.counts, other.Width, Width);
        if (added.Length > counts.Length)
            Array.Resize(ref counts, added.Length);
        for (var bin = 0; bin < added.Length; bin++)
            counts[bin] += added[bin];
        counts[0] += earlyZeros;
        earlyZeros = 0;
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() => new Dictionary<string, Tensor>
    {
        ["counts"] = StatisticTensors.Of<long>(counts, DType.I64, counts.Length),
        ["width"] = StatisticTensors.Of<float>([Width], DType.F32, 1),
        ["early_zeros"] = StatisticTensors.Of<long>([earlyZeros], DType.I64, 1),
    };

    public static MagnitudeHistogram FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var counts = tensors.Counts(name, "counts");
        if (counts.Length > MostBins)
            throw new QuantizationException($"{name}: at most {MostBins} bins expected, found {counts.Length}");
        if (tensors.Magnitudes(name, "width") is not [var width] || (width > 0) != (counts.Length > 0))
            throw new QuantizationException(
                $"{name}: width must be one number, above 0 where there are bins and else 0, found {tensors["width"]}");
        if (!float.IsFinite((float)((double)width * counts.Length)))
            throw new QuantizationException($"{name}: {counts.Length} bins of width {width} are more than F32 can hold");
        return new MagnitudeHistogram(name)
        {
            counts = counts,
            Width = width,
            earlyZeros = tensors.Count(name, "early_zeros"),
        };
    }

    void Start(float largest)
    {
        counts = new long[firstBins];
        Width = Math.Max(largest / firstBins, float.Epsilon);
        counts[0] = earlyZeros;
        earlyZeros = 0;
    }

    void Grow(float largest)
    {
        while (largest / Width > MostBins)
            (counts, Width) = (Moved(counts, Width, 2 * Width), 2 * Width);
        Array.Resize(ref counts, Math.Max(counts.Length, (int)MathF.Ceiling(largest / Width)));
    }

    /// <summary>In F32, like the recorded counts; the product may overflow where the range is near the largest number.</summary>
    static int Bin(float magnitude, int bins, float range)
    {
        var scaled = magnitude * bins;
        var bin = float.IsFinite(scaled) ? scaled / range : (float)((double)magnitude * bins / range);
        return Math.Min((int)bin, bins - 1);
    }

    static long[] Moved(long[] counts, float from, float to)
    {
        var moved = new long[Target(counts.Length - 1) + 1];
        for (var bin = 0; bin < counts.Length; bin++)
            moved[Target(bin)] += counts[bin];
        return moved;

        int Target(int bin) => (int)((bin + 0.5) * from / to);
    }
}
