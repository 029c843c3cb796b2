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
}
