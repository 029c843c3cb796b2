using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>What calibration learns about the inputs of one linear module, by modality.</summary>
public sealed class LayerStatistics : IDisposable
{
    static readonly Modality[] Modalities = Enum.GetValues<Modality>();

    readonly InputStatistics[] parts;
    readonly Dictionary<Type, object> joint = [];
    readonly int width;

    /// <param name="name">The module, for errors.</param>
    /// <param name="width">Inputs of the module.</param>
    /// <param name="keptRows">How many input rows of each modality are kept to measure the output error with.</param>
    /// <param name="needs">What else; null: nothing.</param>
    public LayerStatistics(string name, int width, int keptRows, StatisticNeeds? needs = null)
        : this(name, width, needs ?? StatisticNeeds.None,
            [.. Modalities.Select(_ => new InputStatistics(name, width, keptRows, needs ?? StatisticNeeds.None))])
    {
    }

    LayerStatistics(string name, int width, StatisticNeeds needs, InputStatistics[] parts)
    {
        (Name, this.width, Needs, this.parts) = (name, width, needs, parts);
    }

    public string Name { get; }

    /// <summary>What is gathered besides tokens, largest magnitude and rows.</summary>
    public StatisticNeeds Needs { get; }

    /// <summary>The largest magnitude of any input.</summary>
    public float Amax => parts.Max(part => part.Amax);

    /// <summary>Largest magnitudes by channel, where they were asked for.</summary>
    public ChannelAmax? Channels => Joint(part => part.Channels);

    /// <summary>Counts of magnitudes, where they were asked for.</summary>
    public MagnitudeHistogram? Histogram => Joint(part => part.Histogram);

    /// <summary>Counts of the largest magnitudes of blocks, where they were asked for.</summary>
    public BlockHeadroom? Headroom => Joint(part => part.Headroom);

    /// <summary>Second moments inside blocks, where they were asked for.</summary>
    public BlockMoments? Blocks => Joint(part => part.Blocks);

    /// <summary>Mean and largest magnitudes by channel, where they were asked for.</summary>
    public ChannelMagnitudes? Magnitudes => Joint(part => part.Magnitudes);

    /// <summary>Mean magnitudes and second moments, where they were asked for.</summary>
    public AwqInputs? Awq => Joint(part => part.Awq);

    public float AmaxOf(Modality modality) => parts[(int)modality].Amax;

    /// <summary>Rows seen.</summary>
    public long Tokens(Modality modality) => parts[(int)modality].Tokens;

    /// <summary>A spread of the rows seen, [rows, in]; null when there were none.</summary>
    public Tensor? Rows(Modality modality) => parts[(int)modality].Kept.Rows();

    // Of one modality; null where they were not asked for or there was no token.

    public ChannelAmax? ChannelsOf(Modality modality) => parts[(int)modality].Channels;

    public MagnitudeHistogram? HistogramOf(Modality modality) => parts[(int)modality].Histogram;

    public AwqInputs? AwqOf(Modality modality) => parts[(int)modality].Awq;

    /// <summary>Second moments of the samples of one fold.</summary>
    public SecondMoments? MomentsOf(Modality modality, int fold) => parts[(int)modality].Moments[fold];

    /// <summary>Takes in the rows of one call.</summary>
    /// <param name="x">[T, in].</param>
    /// <param name="modality">Of each row.</param>
    /// <param name="sample">The index of the sample they are of, whose parity is the fold of moments.</param>
    /// <exception cref="QuantizationException">A value is NaN or infinite.</exception>
    public void Observe(Tensor x, Func<int, Modality> modality, int sample = 0)
    {
        var kinds = new Modality[x.Rows];
        for (var row = 0; row < x.Rows; row++)
        {
            var values = x.Row(row);
            var largest = MathF.Abs(TensorPrimitives.MaxMagnitude<float>(values));
            if (!float.IsFinite(largest))
                throw new QuantizationException($"{Name}: an input is {largest} (token {row}); finite activations expected.");
            kinds[row] = modality(row);
            parts[(int)kinds[row]].Count(values, largest);
        }
        joint.Clear();
        if (Needs != StatisticNeeds.None)
            foreach (var kind in kinds.Distinct())
                ObservePart(x, kinds, kind, sample % InputStatistics.Folds);
    }

    /// <summary>Takes in what another one saw of the same inputs.</summary>
    /// <exception cref="QuantizationException">They are of different widths.</exception>
    public void Merge(LayerStatistics other)
    {
        StatisticTensors.CheckSame(Name, "inputs", width, other.width);
        joint.Clear();
        for (var part = 0; part < parts.Length; part++)
            parts[part].Merge(other.parts[part]);
    }

    /// <summary>The whole state, by names like <c>vision/histogram/counts</c>; a modality without tokens has none.</summary>
    public IReadOnlyDictionary<string, Tensor> ToTensors() => Modalities
        .Where(modality => Tokens(modality) > 0)
        .SelectMany(modality => parts[(int)modality].ToTensors().Select(entry => (Name: $"{Prefix(modality)}/{entry.Name}", entry.Tensor)))
        .ToDictionary(entry => entry.Name, entry => entry.Tensor);

    /// <summary>What <see cref="ToTensors"/> gave.</summary>
    /// <exception cref="QuantizationException">A tensor is missing, of another shape or type, or holds what no data could give.</exception>
    public static LayerStatistics FromTensors(
        string name, int width, int keptRows, StatisticNeeds needs, IReadOnlyDictionary<string, Tensor> tensors) => new(name, width, needs,
            [.. Modalities.Select(modality => tensors.Below(Prefix(modality)) is { Count: > 0 } part
                ? InputStatistics.FromTensors($"{name} ({Prefix(modality)})", width, keptRows, needs, part)
                : new InputStatistics(name, width, keptRows, needs))]);

    /// <summary>Releases the kept rows and the moments.</summary>
    public void Dispose()
    {
        foreach (var part in parts)
            part.Dispose();
        if (parts.All(part => part.Awq is not null))
            (joint.GetValueOrDefault(typeof(AwqInputs)) as AwqInputs)?.Moments.Dispose();
    }

    static string Prefix(Modality modality) => modality.ToString().ToLowerInvariant();

    void ObservePart(Tensor x, Modality[] kinds, Modality kind, int fold)
    {
        var rows = kinds.Count(other => other == kind);
        if (rows == kinds.Length)
        {
            parts[(int)kind].Observe(x, 1, fold);
            return;
        }
        using var chosen = Tensor.Empty(rows, width);
        var at = 0;
        for (var row = 0; row < kinds.Length; row++)
            if (kinds[row] == kind)
                x.Row(row).CopyTo(chosen.Row(at++));
        parts[(int)kind].Observe(chosen, rows / (double)kinds.Length, fold);
    }

    /// <summary>A statistic of all modalities together: that of the only one there is, or a merged copy, made once.</summary>
    T? Joint<T>(Func<InputStatistics, T?> statistic) where T : class, IStatistic<T>
    {
        if (parts.Select(statistic).OfType<T>().ToList() is not [var first, var second])
            return parts.Select(statistic).FirstOrDefault(part => part is not null);
        if (joint.GetValueOrDefault(typeof(T)) is T known)
            return known;
        var merged = T.FromTensors(Name, first.ToTensors());
        merged.Merge(second);
        joint[typeof(T)] = merged;
        return merged;
    }
}
