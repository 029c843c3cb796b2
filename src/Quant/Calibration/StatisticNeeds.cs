namespace Nibble.Quant.Calibration;

/// <summary>What has to be known of the inputs of a module besides tokens, largest magnitudes and a few rows.</summary>
/// <param name="Channels">The largest magnitude of every channel.</param>
/// <param name="Awq">Mean magnitudes and second moments, n² numbers; has the channels' largest magnitudes too.</param>
/// <param name="MomentBlock">Channels of a block whose second moments are wanted; 0: none are.</param>
/// <param name="SampledTokens">Tokens of a call that the moments of blocks look at; 0: all.</param>
/// <param name="Histogram">Counts of magnitudes, for ranges that leave out the largest.</param>
/// <param name="Headroom">Counts of the largest magnitudes of blocks of 16.</param>
/// <param name="Moments">Second moments by fold, 2·n² numbers.</param>
/// <param name="Rows">Some of the inputs themselves.</param>
/// <param name="Magnitudes">Mean and largest magnitudes of every channel, without the moments <paramref name="Awq"/> has.</param>
public sealed record StatisticNeeds(
    bool Channels = false, bool Awq = false, int MomentBlock = 0, int SampledTokens = 0,
    bool Histogram = false, bool Headroom = false, bool Moments = false, bool Rows = false, bool Magnitudes = false)
{
    /// <summary>Nothing more than is always known.</summary>
    public static StatisticNeeds None { get; } = new();

    /// <summary>What serves both. Blocks of moments of two sizes cannot be had at once.</summary>
    /// <exception cref="QuantizationException">They want moments of different blocks or tokens.</exception>
    public static StatisticNeeds operator |(StatisticNeeds a, StatisticNeeds b)
    {
        if (a.MomentBlock > 0 && b.MomentBlock > 0 && (a.MomentBlock, a.SampledTokens) != (b.MomentBlock, b.SampledTokens))
            throw new QuantizationException($"moments of blocks of {a.MomentBlock} and of {b.MomentBlock} wanted of the same inputs");
        var blocks = a.MomentBlock > 0 ? a : b;
        return new StatisticNeeds(
            a.Channels || b.Channels, a.Awq || b.Awq, blocks.MomentBlock, blocks.SampledTokens,
            a.Histogram || b.Histogram, a.Headroom || b.Headroom, a.Moments || b.Moments, a.Rows || b.Rows, a.Magnitudes || b.Magnitudes);
    }

    /// <summary>The names of what is wanted.</summary>
    public IEnumerable<string> Names()
    {
        if (Channels)
            yield return "channels";
        if (Histogram)
            yield return "histogram";
        if (Headroom)
            yield return "headroom";
        if (MomentBlock > 0)
            yield return SampledTokens > 0 ? $"moments of blocks of {MomentBlock} at {SampledTokens} tokens" : $"moments of blocks of {MomentBlock}";
        if (Magnitudes)
            yield return "magnitudes";
        if (Awq)
            yield return "awq";
        if (Moments)
            yield return "moments";
        if (Rows)
            yield return "rows";
    }

    /// <summary>The names of what these lack of what is wanted.</summary>
    public IEnumerable<string> Missing(StatisticNeeds wanted) =>
        wanted.Names().Except(Names()).Where(name => !Awq || name is not ("channels" or "magnitudes"));

    /// <summary>Bytes for inputs of this width.</summary>
    public long Bytes(int width) =>
        (Awq ? 4L * width * width : 0) + 8L * width * MomentBlock + (Channels || Awq || Magnitudes ? 12L * width : 0)
        + (Moments ? 8L * width * width : 0) + (Histogram ? 8L * TypicalBins : 0) + (Headroom ? 4096 : 0);

    /// <summary>Bins a histogram has after batches of like magnitudes.</summary>
    const int TypicalBins = 4096;
}
