using System.Text.Json;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>
/// The layout of ModelOpt's unified Hugging Face checkpoint, as version 0.47 writes it: tensors beside the module's own name, one
/// description in hf_quant_config.json and one in config.json.
/// </summary>
public static class ModelOptLayout
{
    /// <summary>Why a matrix of this shape cannot be written in this scheme, or null.</summary>
    public static string? Refuse(Scheme scheme, long rows, long columns) =>
        ModelOptFormat.Of(scheme) is { } format ? format.Refuse(rows, columns) : $"the ModelOpt layout has no place for {scheme}";

    /// <summary>The tensors of a quantized module, in the order <see cref="Tensors"/> gives them.</summary>
    /// <exception cref="ArgumentException">The layout has no such scheme, or the shape does not fit it.</exception>
    public static IReadOnlyList<TensorSpec> Specs(string module, Scheme scheme, long rows, long columns) =>
        [.. Format(module, scheme, rows, columns).Specs(module, rows, columns)];

    /// <summary>The scales of one attention module's cached keys and values.</summary>
    /// <param name="attention">Like <c>model.layers.0.self_attn</c>.</param>
    public static IReadOnlyList<TensorSpec> KeyValueSpecs(string attention) =>
        [new($"{attention}.k_proj.k_scale", DType.F32, default), new($"{attention}.v_proj.v_scale", DType.F32, default)];

    /// <summary>
    /// The tensors of a quantized module. Codes and scales share the bytes of <paramref name="weight"/> where the layout allows.
    /// </summary>
    /// <param name="inputScale">What the activation format's scale is; ignored by schemes that store none.</param>
    /// <exception cref="ArgumentException">The weight is not of this scheme, or a scale is no number above 0.</exception>
    public static IReadOnlyList<(string Name, Tensor Tensor)> Tensors(
        string module, Scheme scheme, QuantizedWeight weight, float inputScale = 1)
    {
        var format = Format(module, scheme, weight.Rows, weight.Columns);
        if (weight.Format != scheme.Weight)
            throw new ArgumentException($"{module}: a weight of {scheme.Weight} expected; got {weight.Format}", nameof(weight));
        var parts = new Queue<Tensor>([format.RowPairs ? RowPairs.FromColumnPairs(weight.Codes) : weight.Codes]);
        parts.Enqueue(format.Group < 0 ? Scalar(module, weight.TensorScale) : weight.Scales!);
        if (format.SecondScale)
            parts.Enqueue(Scalar(module, weight.TensorScale));
        if (format.InputScale)
            parts.Enqueue(Scalar(module, inputScale));
        return [.. format.Specs(module, weight.Rows, weight.Columns).Select(spec => (spec.Name, View(parts.Dequeue(), spec)))];
    }

    /// <summary>The scales of cached keys and values.</summary>
    public static IReadOnlyList<(string Name, Tensor Tensor)> KeyValueTensors(string attention, float keyScale, float valueScale)
    {
        var specs = KeyValueSpecs(attention);
        return [(specs[0].Name, Scalar(attention, keyScale)), (specs[1].Name, Scalar(attention, valueScale))];
    }

    /// <summary>config.json and hf_quant_config.json of a checkpoint that was quantized from <paramref name="source"/>.</summary>
    /// <param name="layers">
    /// The quantized modules, in the order of the model. Every other module with a matrix is named as excluded.
    /// </param>
    /// <param name="keyValues">Null where the cache stays as it is.</param>
    /// <exception cref="CheckpointException">The source has no config.json, or one that is not JSON.</exception>
    public static IReadOnlyList<SideFile> Configs(CheckpointFolder source, IReadOnlyList<(string Module, Scheme Scheme)> layers,
        KeyValueFormat? keyValues, ModelOptProducer? producer = null)
    {
        var path = Path.Combine(source.Path, "config.json");
        if (source.Config.IsEmpty)
            throw new CheckpointException(path, "no such file");
        var formats = layers.Select(layer => (layer.Module, ModelOptFormat.Of(layer.Scheme)
            ?? throw new ArgumentException($"{layer.Module}: the ModelOpt layout has no place for {layer.Scheme}",
                nameof(layers)))).ToList();
        var config = new ModelOptConfig(formats, Unquantized(source, [.. layers.Select(layer => layer.Module)]),
            keyValues?.Name.ToUpperInvariant(), producer ?? new ModelOptProducer());
        return
        [
            SideFile.Of("config.json",
                JsonEdit.Set(path, source.Config.Span, "quantization_config", config.QuantizationConfig())),
            SideFile.Of("hf_quant_config.json", config.HfQuantConfig()),
        ];
    }

    /// <summary>
    /// Linear, convolution and embedding modules by their weights of two and more dimensions, and a head tied to the embedding.
    /// </summary>
    static List<string> Unquantized(CheckpointFolder source, HashSet<string> quantized)
    {
        var modules = source.Tensors.Where(tensor => tensor.Shape.Rank >= 2
            && tensor.Name.EndsWith(".weight", StringComparison.Ordinal))
            .Select(tensor => tensor.Name[..^".weight".Length]).Where(module => !quantized.Contains(module)).ToList();
        using var config = JsonDocument.Parse(source.Config);
        if (source.Find("lm_head.weight") is null && config.RootElement.TryGetProperty("tie_word_embeddings", out var tied)
            && tied.ValueKind == JsonValueKind.True)
            modules.Add("lm_head");
        return modules;
    }

    static ModelOptFormat Format(string module, Scheme scheme, long rows, long columns) =>
        ModelOptFormat.Of(scheme) is { } format && format.Refuse(rows, columns) is null ? format
            : throw new ArgumentException($"{module} [{rows}, {columns}]: {Refuse(scheme, rows, columns)}", nameof(scheme));

    static Tensor Scalar(string module, float value)
    {
        if (!float.IsFinite(value) || value <= 0)
            throw new ArgumentException($"{module}: a scale cannot be {value}", nameof(value));
        var tensor = Tensor.Empty(default(Shape));
        tensor.Span<float>()[0] = value;
        return tensor;
    }

    /// <summary>The same bytes under the shape and element type of the layout.</summary>
    internal static unsafe Tensor View(Tensor tensor, TensorSpec spec) => tensor.Bytes == spec.Bytes
        ? new Tensor(tensor.Storage, tensor.Pointer - tensor.Storage.Pointer, spec.Shape, spec.DType)
        : throw new ArgumentException($"{spec.Name}: {spec.Bytes} bytes expected; got {tensor}", nameof(tensor));
}
