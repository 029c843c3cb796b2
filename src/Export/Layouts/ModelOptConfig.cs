using System.Text.Encodings.Web;
using System.Text.Json;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>Who wrote a checkpoint, as its configuration says.</summary>
/// <remarks>
/// Loaders that read hf_quant_config.json, which has no <c>quant_method</c>, recognise the layout by the name <c>modelopt</c>, so
/// that is the default; the version says whose conventions the numbers follow (cache scales are amax / 448 since 0.43).
/// </remarks>
public sealed record ModelOptProducer(string Name = "modelopt", string Version = "0.47.0");

/// <summary>
/// The two descriptions a ModelOpt checkpoint carries: hf_quant_config.json and <c>quantization_config</c> of config.json.
/// </summary>
/// <param name="Layers">The quantized modules, in the order of the model.</param>
/// <param name="Unquantized">Linear, convolution and embedding modules that stay as they are.</param>
/// <param name="KeyValues"><c>FP8</c>, <c>NVFP4</c>, <c>NVFP4_AFFINE</c> or null.</param>
sealed record ModelOptConfig(
    IReadOnlyList<(string Module, ModelOptFormat Format)> Layers, IReadOnlyList<string> Unquantized, string? KeyValues,
        ModelOptProducer Producer)
{
    static readonly JsonWriterOptions Options =
        new() { Indented = true, IndentSize = 4, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The distinct formats, in the order they first occur.</summary>
    IReadOnlyList<ModelOptFormat> Formats => [.. Layers.Select(layer => layer.Format).Distinct()];

    /// <summary>The formats differ, or there are none: then every quantized module is listed and no excluded one.</summary>
    bool ListsLayers => Formats.Count != 1;

    IReadOnlyList<string> Excluded =>
        ListsLayers ? [] : ExcludePatterns.Of(Unquantized, [.. Layers.Select(layer => layer.Module)]);

    public byte[] HfQuantConfig() => Render(json =>
    {
        WriteProducer(json);
        json.WriteStartObject("quantization");
        WriteAlgorithm(json, nullToo: true);
        json.WriteString("kv_cache_quant_algo", KeyValues);
        if (ListsLayers)
            WriteLayers(json);
        else
        {
            WriteDetails(json, Formats[0]);
            WriteStrings(json, "exclude_modules", Excluded);
        }
        json.WriteEndObject();
    });

    /// <summary>The value of <c>quantization_config</c>.</summary>
    public byte[] QuantizationConfig() => Render(json =>
    {
        if (Formats.Any(HasGroup) || Formats.Count > 1)
            WriteGroups(json);
        if (Formats.Count > 1)
            WriteLayers(json);
        WriteStrings(json, "ignore", Excluded);
        WriteAlgorithm(json, nullToo: false);
        if (KeyValues == "FP8")
            WriteNumbers(json, "kv_cache_scheme", 8, "float", group: 0);
        else if (KeyValues is not null)
            json.WriteString("kv_cache_scheme", KeyValues);
        WriteProducer(json);
        json.WriteString("quant_method", "modelopt");
    });

    static byte[] Render(Action<Utf8JsonWriter> write)
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory, Options))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }
        return memory.ToArray();
    }

    void WriteProducer(Utf8JsonWriter json)
    {
        json.WriteStartObject("producer");
        json.WriteString("name", Producer.Name);
        json.WriteString("version", Producer.Version);
        json.WriteEndObject();
    }

    void WriteAlgorithm(Utf8JsonWriter json, bool nullToo)
    {
        if (Formats.Count > 0)
            json.WriteString("quant_algo", Formats.Count > 1 ? "MIXED_PRECISION" : Formats[0].Algorithm);
        else if (nullToo)
            json.WriteNull("quant_algo");
    }

    void WriteLayers(Utf8JsonWriter json)
    {
        json.WriteStartObject("quantized_layers");
        foreach (var (module, format) in Layers)
        {
            json.WriteStartObject(module);
            json.WriteString("quant_algo", format.Algorithm);
            WriteDetails(json, format);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    static void WriteDetails(Utf8JsonWriter json, ModelOptFormat format)
    {
        if (format.NamesGroup)
            json.WriteNumber("group_size", format.Group);
        if (format.NamesAwq)
            WriteAwq(json);
    }

    static void WriteAwq(Utf8JsonWriter json)
    {
        json.WriteBoolean("has_zero_point", false);
        json.WriteBoolean("pre_quant_scale", true);
    }

    /// <summary>A single format has a group only where ModelOpt 0.47 writes one.</summary>
    static bool HasGroup(ModelOptFormat format) => format.Algorithm is "FP8" or "NVFP4" or "W4A16_NVFP4" or "NVFP4_SVD";

    void WriteGroups(Utf8JsonWriter json)
    {
        json.WriteStartObject("config_groups");
        for (var i = 0; i < Formats.Count; i++)
        {
            json.WriteStartObject($"group_{i}");
            if (Formats[i].InputScale)
                WriteInputs(json, Formats[i]);
            WriteNumbers(json, "weights", Formats[i].ColumnPairs || Formats[i].RowPairs ? 4 : 8,
                Formats[i].CodeType == DType.I8 || Formats[i].RowPairs ? "int" : "float", Math.Max(Formats[i].Group, 0));
            if (Formats[i].LowRank)
                WriteAwq(json);
            WriteStrings(json, "targets", Formats.Count == 1 ? ["Linear"]
                : Layers.Where(layer => layer.Format == Formats[i]).Select(layer => layer.Module).Order(StringComparer.Ordinal));
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    static void WriteInputs(Utf8JsonWriter json, ModelOptFormat format)
    {
        var inputs = format.Scheme?.Activation;
        WriteNumbers(json, "input_activations", inputs is NvFp4Activation ? 4 : 8, inputs is Int8PerTensor ? "int" : "float",
            inputs is NvFp4Activation ? NvFp4.BlockSize : 0);
    }

    static void WriteNumbers(Utf8JsonWriter json, string name, int bits, string type, int group)
    {
        json.WriteStartObject(name);
        json.WriteBoolean("dynamic", false);
        json.WriteNumber("num_bits", bits);
        json.WriteString("type", type);
        if (group > 0)
            json.WriteNumber("group_size", group);
        json.WriteEndObject();
    }

    static void WriteStrings(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
            json.WriteStringValue(value);
        json.WriteEndArray();
    }
}
