using System.Text.Json;
using Nibble.Export.Layouts;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Export;

/// <summary>A model folder as a model sees it, quantized or not: linear layers hold packed codes where the folder has them.</summary>
public sealed class QuantizedCheckpoint : ITensorSource, IModuleSource, IDisposable
{
    readonly ModelOptCheckpoint? quantized;

    QuantizedCheckpoint(CheckpointFolder folder)
    {
        Folder = folder;
        quantized = ModelOptCheckpoint.Of(folder);
        if (quantized is null && folder.QuantizationConfig is { } config)
            throw new CheckpointException(Path.Combine(folder.Path, "config.json"),
                $"quant_method {(config.TryGetProperty("quant_method", out var method) ? method.GetRawText() : "(none)")} is not read; expected \"modelopt\"");
    }

    public CheckpointFolder Folder { get; }

    /// <summary>The quantization of the folder, or null when its weights are plain.</summary>
    public ModelOptCheckpoint? Quantization => quantized;

    public IReadOnlyCollection<TensorSpec> Tensors => Folder.Tensors;

    /// <exception cref="CheckpointException">The folder cannot be opened, or is quantized in a way this library does not read.</exception>
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

    public ILinearWeight Linear(string module) => quantized?.Linear(module) is { } stored
        ? new PackedWeight(stored.Weight, stored.Scheme.Activation, stored.InputScale)
        : new PlainRows(Folder.Load($"{module}.weight"));

    public IKeyValueFilter? KeyValues(string attention) =>
        quantized?.KeyValues(attention) is { } stored ? new QuantizedKeyValues(stored.Format, stored.KeyScale, stored.ValueScale) : null;

    public void Dispose() => Folder.Dispose();

    /// <summary>Plain numbers, multiplied row by row.</summary>
    sealed class PlainRows(Tensor weight) : ILinearWeight
    {
        public int Rows => weight.Rows;

        public int Columns => weight.Columns;

        public long Bytes => weight.Bytes;

        public void Decode(int row, int column, Span<float> destination) =>
            Nibble.Tensors.Convert.ToF32(weight, (long)row * Columns + column, destination);

        public void Multiply(Tensor x, Tensor y) => Parallel.For(0, Rows, row =>
        {
            var values = new float[Columns];
            Decode(row, 0, values);
            for (var token = 0; token < x.Rows; token++)
                y.Row(token)[row] = TensorPrimitives.Dot(x.Row(token), values);
        });
    }
}
