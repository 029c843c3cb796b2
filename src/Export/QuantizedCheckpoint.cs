using System.Text.Json;
using Nibble.Export.Layouts;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Export;

/// <summary>
/// A model folder as a model sees it, quantized or not: linear layers hold packed codes where the folder has them.
/// </summary>
public sealed class QuantizedCheckpoint : ITensorSource, IModuleSource, IDisposable
{
    readonly ModelOptCheckpoint? quantized;

    QuantizedCheckpoint(CheckpointFolder folder)
    {
        Folder = folder;
        quantized = ModelOptCheckpoint.Of(folder);
        if (quantized is null && folder.QuantizationConfig is { } config)
        {
            var method = config.TryGetProperty("quant_method", out var name) ? name.GetRawText() : "none";
            throw new CheckpointException(Path.Combine(folder.Path, "config.json"),
                $"quant_method \"modelopt\" expected; it is {method}, which this library does not read");
        }
    }

    public CheckpointFolder Folder { get; }

    /// <summary>The quantization of the folder, or null when its weights are plain.</summary>
    public ModelOptCheckpoint? Quantization => quantized;

    public IReadOnlyCollection<TensorSpec> Tensors => Folder.Tensors;

    /// <exception cref="CheckpointException">
    /// The folder cannot be opened, or is quantized in a way this library does not read.
    /// </exception>
    public static QuantizedCheckpoint Open(string path)
    {
        var folder = CheckpointFolder.Open(path);
        try
        {
            return new QuantizedCheckpoint(folder);
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    public TensorSpec? Find(string name) => Folder.Find(name);

    public Tensor Load(string name) => Folder.Load(name);

    /// <exception cref="CheckpointException">The layer is not there, or not stored as the folder says.</exception>
    public ILinearWeight Linear(string module) => quantized?.Linear(module) is { } stored
        ? stored.Pack()
        : new DenseWeight(Plain($"{module}.weight"));

    Tensor Plain(string name) =>
        Folder.Load(name) is { DType: DType.F32 or DType.BF16 or DType.F16 or DType.F64, Shape.Rank: 2 } tensor ? tensor
        : throw new CheckpointException(Folder.Path, $"a matrix of plain numbers expected; found {Folder.Find(name)!.Shape} " +
            $"{Folder.Find(name)!.DType.Name()}", name);

    public IKeyValueFilter? KeyValues(string attention) =>
        quantized?.KeyValues(attention) is { } stored
            ? new QuantizedKeyValues(stored.Format, stored.KeyScale, stored.ValueScale) { KeyBias = stored.KeyBias, ValueBias = stored.ValueBias }
            : null;

    public void Dispose() => Folder.Dispose();
}
