namespace Nibble.Quant.Calibration;

/// <summary>What has to be known of the inputs of a module besides tokens, largest magnitudes and a few rows.</summary>
/// <param name="Channels">The largest magnitude of every channel.</param>
/// <param name="Awq">Mean magnitudes and second moments, n² numbers; has the channels' largest magnitudes too.</param>
/// <param name="MomentBlock">Channels of a block whose second moments are wanted; 0: none are.</param>
/// <param name="SampledTokens">Tokens of a call that the moments of blocks look at; 0: all.</param>
public sealed record StatisticNeeds(bool Channels = false, bool Awq = false, int MomentBlock = 0, int SampledTokens = 0)
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
        return new StatisticNeeds(a.Channels || b.Channels, a.Awq || b.Awq, blocks.MomentBlock, blocks.SampledTokens);
    }

    /// <summary>Bytes for inputs of this width.</summary>
    public long Bytes(int width) =>
        (Awq ? 4L * width * width : 0) + 8L * width * MomentBlock + (Channels || Awq ? 12L * width : 0);
}
