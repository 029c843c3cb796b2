using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>What calibration learns about the inputs of a module that are of one modality.</summary>
/// <param name="name">The module, for errors.</param>
/// <param name="width">Inputs of the module.</param>
/// <param name="keptRows">How many input rows are kept to measure the output error with.</param>
/// <param name="needs">What is gathered besides tokens and the largest magnitude.</param>
sealed class InputStatistics(string name, int width, int keptRows, StatisticNeeds needs) : IDisposable
{
    /// <summary>What moments are kept apart by; what is fitted on one fold is judged on the other.</summary>
    public const int Folds = 2;

    /// <summary>Rows seen.</summary>
    public long Tokens { get; private set; }

    /// <summary>The largest magnitude.</summary>
    public float Amax { get; private set; }

    public KeptRows Kept { get; private init; } = new(width, keptRows);

    // Made with the first rows: a modality without tokens takes no memory.

    public ChannelAmax? Channels { get; private set; }

    public MagnitudeHistogram? Histogram { get; private set; }

    public BlockHeadroom? Headroom { get; private set; }

    public BlockMoments? Blocks { get; private set; }

    public ChannelMagnitudes? Magnitudes { get; private set; }

    public AwqInputs? Awq { get; private set; }

    /// <summary>By fold.</summary>
    public IReadOnlyList<SecondMoments?> Moments => moments;

    readonly SecondMoments?[] moments = new SecondMoments?[Folds];

    /// <summary>Takes in one row; <see cref="Observe"/> gets the same rows.</summary>
    public void Count(ReadOnlySpan<float> row, float largest)
    {
        Amax = Math.Max(Amax, largest);
        Kept.Offer(row, Tokens++);
    }

    /// <summary>Takes in the rows of one call.</summary>
    /// <param name="x">[T, in].</param>
    /// <param name="share">What part of the call's tokens these are.</param>
    public void Observe(Tensor x, double share, int fold)
    {
        if (needs.Channels)
            (Channels ??= new(name, width)).Observe(x);
        if (needs.Histogram)
            (Histogram ??= new(name)).Observe(x);
        if (needs.Headroom)
            (Headroom ??= new(name)).Observe(x);
        if (needs.MomentBlock > 0)
            (Blocks ??= new(name, width, needs.MomentBlock, needs.SampledTokens)).Observe(x, share);
        if (needs.Magnitudes)
            (Magnitudes ??= new(name, width)).Observe(x, share);
        if (needs.Awq)
            (Awq ??= new(name, width)).Observe(x, share);
        if (needs.Moments)
            (moments[fold] ??= new(name, width)).Observe(x);
    }

    /// <summary>Takes in what another one of the same needs saw.</summary>
    public void Merge(InputStatistics other)
    {
        Tokens += other.Tokens;
        Amax = Math.Max(Amax, other.Amax);
        Kept.Merge(other.Kept);
        Channels = Merged(Channels, other.Channels);
        Histogram = Merged(Histogram, other.Histogram);
        Headroom = Merged(Headroom, other.Headroom);
        Blocks = Merged(Blocks, other.Blocks);
        Magnitudes = Merged(Magnitudes, other.Magnitudes);
        Awq = Merged(Awq, other.Awq);
        for (var fold = 0; fold < Folds; fold++)
            moments[fold] = Merged(moments[fold], other.moments[fold]);
    }

    /// <summary>Both; the first one takes in the second.</summary>
    static T? Merged<T>(T? mine, T? other) where T : class, IStatistic<T>
    {
        if (mine is null || other is null)
            return mine ?? other;
        mine.Merge(other);
        return mine;
    }

    /// <summary>The whole state, by names like <c>histogram/counts</c>.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> ToTensors()
    {
        yield return ("tokens", StatisticTensors.Of<long>([Tokens], DType.I64, 1));
        yield return ("amax", StatisticTensors.Of<float>([Amax], DType.F32, 1));
        if (Kept.Rows() is { } rows)
            yield return ("rows", rows);
        foreach (var (statistic, tensors) in Parts())
            foreach (var (key, tensor) in tensors)
                yield return ($"{statistic}/{key}", tensor);
    }

    /// <summary>What <see cref="ToTensors"/> gave.</summary>
    /// <exception cref="QuantizationException">A tensor is missing, of another shape or type, or holds what no data could give.</exception>
    public static InputStatistics FromTensors(
        string name, int width, int keptRows, StatisticNeeds needs, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var result = new InputStatistics(name, width, keptRows, needs)
        {
            Tokens = tensors.Count(name, "tokens"),
            Amax = tensors.Magnitudes(name, "amax") is [var amax] ? amax
                : throw new QuantizationException($"{name}: amax must be one number, found {tensors["amax"]}"),
            Kept = KeptRows.FromTensors(name, width, keptRows, tensors),
        };
        if (result.Tokens == 0)
            return result;
        if (needs.Rows && keptRows > 0 && result.Kept.Rows() is null)
            throw new QuantizationException($"{name}: the statistic has no tensor 'rows'");
        result.Channels = needs.Channels ? Read<ChannelAmax>("channels", statistic => statistic.Width) : null;
        result.Histogram = needs.Histogram ? Read<MagnitudeHistogram>("histogram") : null;
        result.Headroom = needs.Headroom ? Read<BlockHeadroom>("headroom") : null;
        result.Blocks = needs.MomentBlock > 0 ? Read<BlockMoments>("blocks", statistic => statistic.Width) : null;
        if (result.Blocks is { } blocks)
            StatisticTensors.CheckSame(name, "channels a block", needs.MomentBlock, blocks.Block);
        result.Magnitudes = needs.Magnitudes ? Read<ChannelMagnitudes>("magnitudes", statistic => statistic.Width) : null;
        result.Awq = needs.Awq ? Read<AwqInputs>("awq", statistic => statistic.Width) : null;
        for (var fold = 0; needs.Moments && fold < Folds; fold++)
            if (tensors.ContainsKey($"moments.{fold}/tokens")) // a single sample is on one fold
                result.moments[fold] = Read<SecondMoments>($"moments.{fold}", statistic => statistic.Width);
        return result;

        T Read<T>(string statistic, Func<T, int>? widthOf = null) where T : IStatistic<T>
        {
            var read = T.FromTensors($"{name}, {statistic}", tensors.Below(statistic));
            if (widthOf is not null)
                StatisticTensors.CheckSame(name, $"inputs ({statistic})", width, widthOf(read));
            return read;
        }
    }

    /// <summary>Releases rows and moments.</summary>
    public void Dispose()
    {
        Kept.Dispose();
        Awq?.Moments.Dispose();
        foreach (var sums in moments)
            sums?.Dispose();
    }

    IEnumerable<(string Statistic, IReadOnlyDictionary<string, Tensor> Tensors)> Parts()
    {
        if (Channels is not null)
            yield return ("channels", Channels.ToTensors());
        if (Histogram is not null)
            yield return ("histogram", Histogram.ToTensors());
        if (Headroom is not null)
            yield return ("headroom", Headroom.ToTensors());
        if (Blocks is not null)
            yield return ("blocks", Blocks.ToTensors());
        if (Magnitudes is not null)
            yield return ("magnitudes", Magnitudes.ToTensors());
        if (Awq is not null)
            yield return ("awq", Awq.ToTensors());
        for (var fold = 0; fold < Folds; fold++)
            if (moments[fold] is { } sums)
                yield return ($"moments.{fold}", sums.ToTensors());
    }
}
