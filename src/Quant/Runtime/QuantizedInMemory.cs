using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Runtime;

/// <summary>
/// A checkpoint with what a quantizer made of it, in memory: to measure with, and for formats that no file stores. A sink to quantize
/// into, then a source to load the model from.
/// </summary>
/// <param name="tensors">The original.</param>
/// <param name="original">Its modules.</param>
/// <param name="keyValues">Format of cached keys and values, if the plan has one.</param>
public sealed class QuantizedInMemory(ITensorSource tensors, IModuleSource original, KeyValueFormat? keyValues = null)
    : IQuantizedSink, ITensorSource, IModuleSource
{
    readonly Dictionary<string, PackedWeight> packed = [];
    readonly Dictionary<string, ILinearWeight> fast = [];
    readonly Dictionary<string, QuantizedKeyValues> caches = [];
    readonly Dictionary<string, Tensor> changed = [];
    readonly Dictionary<string, byte[]> notes = [];

    /// <summary>What was quantized, by module.</summary>
    public IReadOnlyDictionary<string, PackedWeight> Modules => packed;

    public IReadOnlyCollection<TensorSpec> Tensors => tensors.Tensors;

    public TensorSpec? Find(string name) => tensors.Find(name);

    public Tensor Load(string name) => changed.TryGetValue(name, out var tensor) ? tensor : tensors.Load(name);

    public ILinearWeight Linear(string module) =>
        fast.TryGetValue(module, out var known) ? known
        : packed.TryGetValue(module, out var weight) ? fast[module] = Fast(weight)
        : original.Linear(module);

    public IKeyValueFilter? KeyValues(string attention) =>
        caches.TryGetValue(attention, out var cache) ? cache
        : keyValues is { NeedsAmax: false } ? new QuantizedKeyValues(keyValues, 1, 1)
        : original.KeyValues(attention);

    public byte[]? FinishedNote(string stage) => notes.GetValueOrDefault(stage);

    public void Write(QuantizedModule module)
    {
        var weight = module.Weight;
        packed[module.Name] = new PackedWeight(
            new QuantizedWeight(weight.Format, weight.Rows, weight.Columns, weight.Codes.Clone(), weight.Scales?.Clone(), weight.TensorScale),
            module.Scheme.Activation, module.InputScale ?? 1)
        {
            PreQuantScale = module.PreQuantScale,
            LowRank = module.LowRank is { } part ? new LowRank(part.Down.Clone(), part.Up.Clone()) : null,
        };
        fast.Remove(module.Name);
    }

    public void Write(KeyValueScales scales) => caches[scales.Attention] = QuantizedKeyValues.Of(
        scales with { KeyBias = scales.KeyBias?.Clone(), ValueBias = scales.ValueBias?.Clone() },
        keyValues ?? throw new QuantizationException($"{scales.Attention}: scales of a cache without its format"));

    public void Write(string tensor, Tensor value) => changed[tensor] = value.Clone();

    public PackedWeight? Read(PlannedModule module) => packed.GetValueOrDefault(module.Name);

    public Tensor? Read(string tensor) => changed.GetValueOrDefault(tensor);

    public void Finish(string stage, ReadOnlySpan<byte> note) => notes[stage] = note.ToArray();

    /// <summary>Formats that no runtime reads are decoded slowly: once is enough where nothing but the codes counts.</summary>
    static ILinearWeight Fast(PackedWeight weight)
    {
        if (weight is not { Weight.Format: IntGroup, Activation: null, PreQuantScale: null, LowRank: null })
            return weight;
        var dense = Tensor.Empty(weight.Rows, weight.Columns);
        for (var row = 0; row < weight.Rows; row++)
            weight.Decode(row, 0, dense.Row(row));
        return new DenseWeight(dense);
    }
}
