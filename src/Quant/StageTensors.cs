using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>
/// The tensors of one stage: read into memory once, whoever asks, and released together. Mapped ones stay valid, but their pages no
/// longer count as memory of this process.
/// </summary>
sealed class StageTensors(ITensorSource source) : ITensorSource, IDisposable
{
    readonly Dictionary<string, Tensor> loaded = [];

    public IReadOnlyCollection<TensorSpec> Tensors => source.Tensors;

    public TensorSpec? Find(string name) => source.Find(name);

    public Tensor Load(string name) =>
        loaded.TryGetValue(name, out var tensor) ? tensor : loaded[name] = source.Load(name);

    public void Dispose()
    {
        foreach (var tensor in loaded.Values)
            if (tensor.Storage is NativeStorage)
                tensor.Dispose();
            else
                tensor.Evict();
        loaded.Clear();
    }
}
