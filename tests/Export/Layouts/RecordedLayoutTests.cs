using System.Text;
using System.Text.Json;
using Nibble.Export.Layouts;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Export.Layouts;

/// <summary>
/// Names, shapes and types of tensors, and both descriptions, of every checkpoint ModelOpt 0.47 was seen to export: all algorithms,
/// all cache formats, three models.
/// </summary>
public class RecordedLayoutTests
{
    static readonly JsonElement recorded =
        JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("modelopt/exports/configs.json"))).RootElement;

    static readonly string[] parts = ["weight_scale", "weight_scale_2", "input_scale", "pre_quant_scale",
        "weight_quantizer._svdquant_lora_a", "weight_quantizer._svdquant_lora_b"];

    static readonly string[] cacheParts = ["k_scale", "v_scale", "k_bias", "v_bias"];

    public static TheoryData<string> Recordings =>
        [.. recorded.GetProperty("recordings").EnumerateObject().Select(recording => recording.Name)];

    [Theory, MemberData(nameof(Recordings))]
    public void Both_descriptions_are_equal(string name)
    {
        var (recording, tensors) = Find(name);
        var scheme = SchemeOf(recording);
        var matrices = tensors.Values.Where(tensor => tensor.Name.EndsWith(".weight", StringComparison.Ordinal) && tensor.Shape.Rank >= 2)
            .Select(tensor => tensor.Name[..^".weight".Length]).ToLookup(module => tensors.ContainsKey($"{module}.weight_scale"));
        var config = new ModelOptConfig([.. matrices[true].Select(module => (module, ModelOptFormat.Of(scheme!)!))], [.. matrices[false]],
            CacheOf(recording) is { } format ? ModelOptLayout.KeyValueName(format) : null, new ModelOptProducer());
        Same(recording.GetProperty("hf_quant_config"), config.HfQuantConfig());
        Same(recording.GetProperty("quantization_config"), config.QuantizationConfig());
    }

    [Theory, MemberData(nameof(Recordings))]
    public void The_tensors_of_quantized_modules_are_equal(string name)
    {
        var (recording, tensors) = Find(name);
        var scheme = SchemeOf(recording);
        var plain = tensors["model.norm.weight"].DType;
        var expected = tensors.Values.Where(tensor => Array.Exists(parts, part => tensor.Name.EndsWith($".{part}", StringComparison.Ordinal)))
            .Concat(tensors.Values.Where(tensor => tensors.ContainsKey(Sibling(tensor.Name, "weight_scale"))
                && tensor.Name.EndsWith(".weight", StringComparison.Ordinal))).ToHashSet();
        var ours = new HashSet<TensorSpec>();
        foreach (var scale in tensors.Values.Where(tensor => tensor.Name.EndsWith(".weight_scale", StringComparison.Ordinal)))
        {
            var module = scale.Name[..^".weight_scale".Length];
            var format = ModelOptFormat.Of(scheme!)!;
            var (rows, columns) = format.Unpacked(tensors[$"{module}.weight"].Shape);
            ours.UnionWith(ModelOptLayout.Specs(module, scheme!, rows, columns));
            ours.UnionWith(new ModelOptExtras(plain, tensors.ContainsKey($"{module}.pre_quant_scale"), scheme!.LowRank)
                .Specs(module, rows, columns));
        }
        Assert.Equal(expected.Select(Text).Order(StringComparer.Ordinal), ours.Select(Text).Order(StringComparer.Ordinal));
    }

    [Theory, MemberData(nameof(Recordings))]
    public void The_tensors_of_the_cache_are_equal(string name)
    {
        var (recording, tensors) = Find(name);
        var expected = tensors.Values
            .Where(tensor => Array.Exists(cacheParts, part => tensor.Name.EndsWith($".{part}", StringComparison.Ordinal))).ToList();
        var bias = expected.Find(tensor => tensor.Name.EndsWith("_bias", StringComparison.Ordinal))?.Shape;
        var attentions = tensors.Keys.Where(tensor => tensor.EndsWith(".k_proj.weight", StringComparison.Ordinal))
            .Select(tensor => tensor[..^".k_proj.weight".Length]);
        var ours = CacheOf(recording) is { } format
            ? attentions.SelectMany(attention => ModelOptLayout.KeyValueSpecs(attention, format, bias)) : [];
        Assert.Equal(expected.Where(tensor => !tensor.Name.StartsWith("visual.", StringComparison.Ordinal)) // see docs/modelopt.md
            .Select(Text).Order(StringComparer.Ordinal), ours.Select(Text).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_format_of_the_layout_was_recorded()
    {
        var algorithms = recorded.GetProperty("recordings").EnumerateObject()
            .Select(recording => recording.Value.GetProperty("hf_quant_config").GetProperty("quantization").GetProperty("quant_algo").GetString())
            .OfType<string>().Distinct().Order(StringComparer.Ordinal);
        Assert.Equal(ModelOptFormat.All.Select(format => format.Algorithm).Distinct().Order(StringComparer.Ordinal), algorithms);
    }

    static (JsonElement Recording, Dictionary<string, TensorSpec> Tensors) Find(string name)
    {
        var recording = recorded.GetProperty("recordings").GetProperty(name);
        var list = recorded.GetProperty("lists")[recording.GetProperty("tensors").GetInt32()];
        return (recording, list.EnumerateObject().ToDictionary(tensor => tensor.Name, tensor => Parse(tensor.Name, tensor.Value.GetString()!)));
    }

    /// <summary>Like <c>F32 [2, 1, 3, 1]</c>.</summary>
    static TensorSpec Parse(string name, string text)
    {
        var (type, shape) = (text[..text.IndexOf(' ')], text[(text.IndexOf('[') + 1)..^1]);
        return new TensorSpec(name, DTypes.Parse(type)!.Value,
            new Shape([.. shape.Split(", ", StringSplitOptions.RemoveEmptyEntries).Select(long.Parse)]));
    }

    /// <summary>The scheme behind a preset of 0.47 or a variant of one; null where only the cache was quantized.</summary>
    static Scheme? SchemeOf(JsonElement recording)
    {
        var preset = recording.GetProperty("preset").GetString()!;
        Scheme Named(string name) => Schemes.Find(name)!;
        return preset switch
        {
            "kvonly" => null,
            "nvfp4_svdquant" => Named("nvfp4") with { PreQuantScale = true, LowRank = 32 },
            "nvfp4_svdquant_rank8" => Named("nvfp4") with { PreQuantScale = true, LowRank = 8 },
            "nvfp4_awq_lite" or "nvfp4_awq_full" => Named("nvfp4") with { PreQuantScale = true },
            "nvfp4_mlp_weight_only" => Named("w4a16_nvfp4") with { Weight = new NvFp4(32) },
            "mxfp4_mlp_weight_only" => Named("mxfp4"), // the checkpoint does not say that activations stay as they are
            "w4a8_awq_beta" => Named("w4a8") with { PreQuantScale = true },
            _ when preset.StartsWith("int8_smoothquant", StringComparison.Ordinal) => Named("int8") with { PreQuantScale = true },
            _ when preset.StartsWith("int4_awq", StringComparison.Ordinal) => Named("int4") with { PreQuantScale = preset != "int4_awq_clip" },
            _ when preset.StartsWith("mamba_moe_", StringComparison.Ordinal) => Named(preset.Split('_')[2]),
            "w4a8_mxfp4_fp8" when recording.GetProperty("kv").GetString() is null => Named("w4a8_mxfp4_fp8_dynamic"), // calibrates nothing
            _ => Schemes.Find(preset) ?? Named(preset.Split('_')[0]),
        };
    }

    static KeyValueFormat? CacheOf(JsonElement recording) =>
        recording.GetProperty("kv").GetString() is { } name ? Schemes.FindKeyValues(name) : null;

    static string Sibling(string tensor, string part) => $"{tensor[..tensor.LastIndexOf('.')]}.{part}";

    static string Text(TensorSpec tensor) => $"{tensor.Name} {tensor.DType.Name()} {tensor.Shape}";

    static void Same(JsonElement expected, byte[] actual) =>
        Assert.True(JsonElement.DeepEquals(expected, JsonDocument.Parse(actual).RootElement),
            $"expected {expected}\nactual {Encoding.UTF8.GetString(actual)}");
}
