using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>
/// Statistics of a whole model as named tensors: those of the inputs of modules are called <c>MODULE/vision/histogram/counts</c>, with
/// the first module of those that share them, those of caches <c>ATTENTION/text/key_amax</c>. They are read when they are asked for.
/// </summary>
public sealed class StoredStatistics
{
    readonly Dictionary<string, StatisticsGroup> groups;
    readonly ILookup<string, string> tensors;
    readonly ITensorSource source;
    readonly string origin;

    /// <param name="json">What <see cref="StatisticsInfo.ToJson"/> gave.</param>
    /// <param name="origin">The file, for errors.</param>
    /// <exception cref="QuantizationException">Not statistics, of another version, or there is a tensor of something unknown.</exception>
    public StoredStatistics(ITensorSource source, string json, string origin)
    {
        (this.source, this.origin) = (source, origin);
        Info = StatisticsInfo.Parse(json, origin);
        groups = Info.Groups.SelectMany(group => group.Modules.Select(module => (module, group))).ToDictionary(pair => pair.module, pair => pair.group);
        tensors = source.Tensors.ToLookup(tensor => tensor.Name.Split('/')[0], tensor => tensor.Name);
        var known = Names.ToHashSet();
        if (tensors.FirstOrDefault(entry => !known.Contains(entry.Key)) is { } stranger)
            throw new QuantizationException($"{origin}: tensor '{stranger.First()}' belongs to no module these statistics are said to be of.");
    }

    public StatisticsInfo Info { get; }

    /// <summary>Where they come from.</summary>
    public string Origin => origin;

    /// <summary>Everything statistics are kept of: groups by their first modules, and attention modules.</summary>
    public IEnumerable<string> Names => Info.Groups.Select(group => group.Name).Concat(Info.Caches);

    /// <summary>The modules with the same inputs as this one, which were watched together; null when it was not watched.</summary>
    public StatisticsGroup? GroupOf(string module) => groups.GetValueOrDefault(module);

    /// <summary>What is known of the inputs of a group; null when no token reached it. The caller releases it.</summary>
    /// <exception cref="QuantizationException">A tensor is not what it should be; names file and module.</exception>
    public LayerStatistics? Inputs(StatisticsGroup group, int keptRows) => tensors[group.Name].Any()
        ? LayerStatistics.FromTensors($"{origin}: {group.Name}", group.Width, keptRows, group.Needs, Load(group.Name)) : null;

    /// <summary>What is known of the keys and values of an attention module; null when it was not watched or no token reached it.</summary>
    /// <exception cref="QuantizationException">A tensor is not what it should be; names file and module.</exception>
    public KeyValueStatistics? Cache(string attention) => Info.Caches.Contains(attention) && tensors[attention].Any()
        ? KeyValueStatistics.FromTensors($"{origin}: {attention}", Load(attention)) : null;

    /// <summary>Modules that were watched and got no token.</summary>
    public IEnumerable<string> Unseen() => Info.Groups.Where(group => !tensors[group.Name].Any()).SelectMany(group => group.Modules);

    Dictionary<string, Tensor> Load(string name) =>
        tensors[name].ToDictionary(tensor => tensor[Math.Min(tensor.Length, name.Length + 1)..], source.Load);
}

/// <summary>Statistics of several parts: shards of data, or stages of one run.</summary>
/// <param name="info">Of all parts together.</param>
public sealed class JoinedStatistics(IReadOnlyList<StoredStatistics> parts, StatisticsInfo info)
{
    /// <summary>Rows kept of each modality where the parts have some.</summary>
    const int KeptRows = 128;

    public StatisticsInfo Info => info;

    /// <summary>Statistics of shards of data, calibrated apart.</summary>
    /// <exception cref="QuantizationException">They are of other models, modules or kinds, or of the same data; names the field.</exception>
    public static JoinedStatistics OfShards(IReadOnlyList<StoredStatistics> shards)
    {
        var info = shards[0].Info;
        for (var shard = 1; shard < shards.Count; shard++)
            info = info.Merge(shards[shard].Info, shards[0].Origin, shards[shard].Origin);
        return new JoinedStatistics(shards, info);
    }

    /// <summary>Stages of one run.</summary>
    public static JoinedStatistics OfStages(IReadOnlyList<StoredStatistics> stages) =>
        new(stages, StatisticsInfo.OfStages([.. stages.Select(stage => stage.Info)]));

    /// <summary>Hands out the tensors of everything, one module after another; they are released when <paramref name="take"/> returns.</summary>
    /// <exception cref="QuantizationException">A tensor is not what it should be; names file and module.</exception>
    public void ForEach(Action<string, Tensor> take)
    {
        foreach (var group in info.Groups)
            if (Merged(part => part.GroupOf(group.Name) is { } same ? part.Inputs(same, KeptRows) : null, (one, other) => one.Merge(other))
                is { } statistics)
                using (statistics)
                    Hand(group.Name, statistics.ToTensors(), take);
        foreach (var cache in info.Caches)
            if (Merged(part => part.Cache(cache), (one, other) => one.Merge(other)) is { } statistics)
                Hand(cache, statistics.ToTensors(), take);
    }

    static void Hand(string name, IReadOnlyDictionary<string, Tensor> tensors, Action<string, Tensor> take)
    {
        foreach (var (key, tensor) in tensors)
            take($"{name}/{key}", tensor);
    }

    T? Merged<T>(Func<StoredStatistics, T?> load, Action<T, T> merge) where T : class
    {
        T? sum = null;
        foreach (var next in parts.Select(load).OfType<T>())
            if (sum is null)
                sum = next;
            else
                merge(sum, next);
        return sum;
    }
}
