using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>
/// Hands a stage its weights in full precision and records what they are multiplied with. The tensors it loads belong to the stage
/// and are released with it.
/// </summary>
public sealed class ObservedModules(
    IModuleSource inner, Func<string, bool> watched, bool watchKeyValues, int keptRows) : IModuleSource, IDisposable
{
    readonly Dictionary<string, LayerStatistics> layers = [];
    readonly Dictionary<string, KeyValueStatistics> keyValues = [];
    Pass? current;
    Scope scope;

    public IReadOnlyDictionary<string, LayerStatistics> Layers => layers;

    public IReadOnlyDictionary<string, KeyValueStatistics> KeyValueStatistics => keyValues;

    /// <summary>Says whose rows come next.</summary>
    public void Begin(Pass pass, Scope stageScope) => (current, scope) = (pass, stageScope);

    public ILinearWeight Linear(string module)
    {
        var weight = inner.Linear(module);
        if (!watched(module))
            return weight;
        var statistics = layers[module] = new LayerStatistics(module, weight.Columns, keptRows);
        return new ObservedWeight(weight, x => statistics.Observe(x, Modality(x)));
    }

    public IKeyValueFilter? KeyValues(string attention) =>
        watchKeyValues ? keyValues[attention] = new KeyValueStatistics(attention) : inner.KeyValues(attention);

    /// <summary>Releases the rows its statistics kept.</summary>
    public void Dispose()
    {
        foreach (var statistics in layers.Values)
            statistics.Dispose();
    }

    Func<int, Modality> Modality(Tensor x)
    {
        if (scope != Scope.Language)
            return _ => Calibration.Modality.Vision;
        var mask = current?.ImageMask;
        return mask is not null && mask.Length == x.Rows
            ? row => mask[row] ? Calibration.Modality.Vision : Calibration.Modality.Text
            : _ => Calibration.Modality.Text;
    }

    sealed class ObservedWeight(ILinearWeight weight, Action<Tensor> observe) : ILinearWeight
    {
        public int Rows => weight.Rows;

        public int Columns => weight.Columns;

        public long Bytes => weight.Bytes;

        public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

        public void Multiply(Tensor x, Tensor y)
        {
            observe(x);
            weight.Multiply(x, y);
        }
    }
}
