using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>Hands a stage its modules as they are, and records the keys and values it caches.</summary>
public sealed class ObservedKeyValues(IModuleSource inner) : IModuleSource
{
    readonly Dictionary<string, KeyValueStatistics> statistics = [];

    /// <summary>By attention module.</summary>
    public IReadOnlyDictionary<string, KeyValueStatistics> Statistics => statistics;

    public ILinearWeight Linear(string module) => inner.Linear(module);

    public IKeyValueFilter? KeyValues(string attention) => statistics[attention] = new KeyValueStatistics(attention);

    /// <summary>Says of which batch and modality the tokens are that a stage is about to run.</summary>
    public void Begin(Pass pass, int batch)
    {
        foreach (var cache in statistics.Values)
        {
            cache.Batch = batch;
            cache.Modality = pass.ImageMask is { } mask ? token => mask[token] ? Modality.Vision : Modality.Text : null;
        }
    }

    /// <summary>Takes over what an earlier run learned, instead of observing; attention modules no token reached are as new.</summary>
    /// <exception cref="QuantizationException">The statistics are not what they should be.</exception>
    public void Restore(StoredStatistics stored, IEnumerable<string> attentions)
    {
        foreach (var attention in attentions)
            statistics[attention] = stored.Cache(attention) ?? new KeyValueStatistics(attention);
    }
}
