using System.Text.Json;
using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
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

    /// <summary>The tensors of a quantized module, in the order they are written.</summary>
    /// <exception cref="ArgumentException">The layout has no such scheme, or the shape does not fit it.</exception>
    public static IReadOnlyList<TensorSpec> Specs(string module, Scheme scheme, long rows, long columns) =>
        [.. Format(module, scheme, rows, columns).Specs(module, rows, columns)];

    /// <summary>All tensors of a planned module, in the order they are written.</summary>
    /// <exception cref="ArgumentException">The layout has no such scheme, or the shape does not fit it.</exception>
    public static IReadOnlyList<TensorSpec> Specs(PlannedModule module) =>
        [.. Specs(module.Name, module.Scheme!, module.Rows, module.Columns),
            .. ModelOptExtras.Of(module).Specs(module.Name, module.Rows, module.Columns)];

    /// <summary>The scales of one attention module's cached keys and values, and their biases where the format has such.</summary>
    /// <param name="attention">Like <c>model.layers.0.self_attn</c>.</param>
    /// <param name="bias">[1, heads, 1, d]: only what a centred format needs.</param>
    /// <exception cref="ArgumentException">The format is centred, and the shape of the bias is not given.</exception>
    public static IReadOnlyList<TensorSpec> KeyValueSpecs(string attention, KeyValueFormat format, Shape? bias = null)
    {
        if (!format.NeedsAmax)
            return [];
        var (keys, values) = ($"{attention}.k_proj", $"{attention}.v_proj");
        TensorSpec[] scales = [new($"{keys}.k_scale", DType.F32, default), new($"{values}.v_scale", DType.F32, default)];
        if (!format.Centred)
            return scales;
        var shape = bias ?? throw new ArgumentException($"{attention}: {format} needs the shape of a bias", nameof(bias));
        return [.. scales, new($"{keys}.k_bias", DType.F32, shape), new($"{values}.v_bias", DType.F32, shape)];
    }

    /// <summary>What both descriptions call a cache format.</summary>
    public static string KeyValueName(KeyValueFormat format) => format switch
    {
        Fp8KeyValues => "FP8",
        NvFp4KeyValues { Centred: true } => "NVFP4_AFFINE",
        NvFp4KeyValues => "NVFP4",
        _ => throw new ArgumentException($"the ModelOpt layout has no place for a cache in {format}", nameof(format)),
    };

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
        parts.Enqueue(format.Group < 0 ? Scalar(module, weight.TensorScale)
            : format.RowsPerScale > 1 ? BlockScales.Gather(module, weight) : weight.Scales!);
        if (format.SecondScale)
            parts.Enqueue(Scalar(module, weight.TensorScale));
        if (format.InputScale)
            parts.Enqueue(Scalar(module, inputScale));
        return [.. format.Specs(module, weight.Rows, weight.Columns).Select(spec => (spec.Name, View(parts.Dequeue(), spec)))];
    }

    /// <summary>All tensors of a finished module.</summary>
    /// <exception cref="ArgumentException">It is not as planned, or a scale is no number above 0.</exception>
    public static IReadOnlyList<(string Name, Tensor Tensor)> Tensors(QuantizedModule module) =>
        [.. Tensors(module.Name, module.Scheme, module.Weight, module.InputScale ?? 1), .. ModelOptExtras.Of(module.Plan).Tensors(module)];

    /// <summary>What is stored of cached keys and values: scales, and biases where they have such.</summary>
    /// <exception cref="ArgumentException">A scale is no number above 0, or only one of the two has a bias.</exception>
    public static IReadOnlyList<(string Name, Tensor Tensor)> KeyValueTensors(KeyValueScales scales)
    {
        var (keys, values) = ($"{scales.Attention}.k_proj", $"{scales.Attention}.v_proj");
        (string, Tensor)[] tensors =
            [($"{keys}.k_scale", Scalar(scales.Attention, scales.KeyScale)), ($"{values}.v_scale", Scalar(scales.Attention, scales.ValueScale))];
        return scales switch
        {
            { KeyBias: null, ValueBias: null } => tensors,
            { KeyBias: { } key, ValueBias: { } value } when key.Shape == value.Shape =>
                [.. tensors, ($"{keys}.k_bias", key), ($"{values}.v_bias", value)],
            _ => throw new ArgumentException($"{scales.Attention}: biases of keys and of values in one shape expected", nameof(scales)),
        };
    }

    /// <summary>config.json and hf_quant_config.json of a checkpoint that was quantized from <paramref name="source"/>.</summary>
    /// <param name="layers">
    /// The quantized modules, in the order of the model. Every other module with a matrix is named as excluded.
    /// </param>
    /// <param name="keyValues">Null where the cache stays as it is.</param>
    /// <param name="ownHead">The checkpoint has a head of its own, though that of the source is its embedding table.</param>
    /// <exception cref="CheckpointException">The source has no config.json, or one that is not JSON.</exception>
    public static IReadOnlyList<SideFile> Configs(CheckpointFolder source, IReadOnlyList<(string Module, Scheme Scheme)> layers,
        KeyValueFormat? keyValues, ModelOptProducer? producer = null, bool ownHead = false)
    {
        var path = Path.Combine(source.Path, "config.json");
        if (source.Config.IsEmpty)
            throw new CheckpointException(path, "no such file");
        var formats = layers.Select(layer => (layer.Module, ModelOptFormat.Of(layer.Scheme)
            ?? throw new ArgumentException($"{layer.Module}: the ModelOpt layout has no place for {layer.Scheme}",
                nameof(layers)))).ToList();
        var config = new ModelOptConfig(formats, Unquantized(source, [.. layers.Select(layer => layer.Module)], ownHead),
            keyValues is null ? null : KeyValueName(keyValues), producer ?? new ModelOptProducer());
        return
        [
            SideFile.Of("config.json",
                JsonEdit.Set(path, ownHead ? Untied(path, source.Config.Span) : source.Config.Span,
                    "quantization_config", config.QuantizationConfig())),
            SideFile.Of("hf_quant_config.json", config.HfQuantConfig()),
        ];
    }

    /// <summary>
    /// A configuration that says of the head that it is not the embedding table: newer ones say so of the language model too.
    /// </summary>
    static byte[] Untied(string path, ReadOnlySpan<byte> config) =>
        JsonEdit.SetWhereFound(path, JsonEdit.Set(path, config, TiedKey, "false"u8), "text_config", TiedKey, "false"u8);

    const string TiedKey = "tie_word_embeddings", Head = "lm_head";

    /// <summary>
    /// Linear, convolution and embedding modules by their weights of two and more dimensions, and a head without a matrix of its own
    /// in the source.
    /// </summary>
    static List<string> Unquantized(CheckpointFolder source, HashSet<string> quantized, bool ownHead)
    {
        var modules = source.Tensors.Where(tensor => tensor.Shape.Rank >= 2
            && tensor.Name.EndsWith(".weight", StringComparison.Ordinal))
            .Select(tensor => tensor.Name[..^".weight".Length]).Where(module => !quantized.Contains(module)).ToList();
        using var config = JsonDocument.Parse(source.Config);
        if (source.Find($"{Head}.weight") is null && !quantized.Contains(Head)
            && (ownHead || config.RootElement.TryGetProperty(TiedKey, out var tied) && tied.ValueKind == JsonValueKind.True))
            modules.Add(Head);
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
