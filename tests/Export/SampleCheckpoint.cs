using System.Text.Json;
using System.Text.Json.Nodes;
using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Export;

/// <summary>A recorded model quantized by us, in memory, so that a test can break it before it is written.</summary>
sealed class SampleCheckpoint
{
    static readonly string[][] Fused = [["q_proj", "k_proj", "v_proj"], ["gate_proj", "up_proj"]];

    public Dictionary<string, Tensor> Tensors { get; } = [];

    public JsonNode Config { get; set; } = new JsonObject();

    public JsonNode? HfQuantConfig { get; set; }

    public List<(string Module, Scheme Scheme)> Layers { get; } = [];

    public static JsonElement Recorded(string model, string preset) =>
        JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture($"modelopt/exports/{model}/{preset}.json"))).RootElement;

    /// <param name="recorded">The recording whose maxima, and whose choice of modules, are used.</param>
    /// <param name="scheme">The scheme of a module.</param>
    public static SampleCheckpoint Quantize(string model, JsonElement recorded, Func<string, Scheme> scheme,
        KeyValueFormat? keyValues = null)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture($"modelopt/models/{model}"));
        var sample = new SampleCheckpoint();
        foreach (var spec in source.Tensors)
        {
            var module = spec.Name.EndsWith(".weight", StringComparison.Ordinal) ? spec.Name[..^".weight".Length] : "";
            if (!recorded.GetProperty("tensors").TryGetProperty($"{module}.weight_scale", out _))
                sample.Tensors.Add(spec.Name, source.Load(spec.Name).Clone());
            else
                sample.Add(module, source, recorded, scheme);
        }
        if (keyValues is { NeedsAmax: true })
            sample.AddKeyValues(recorded, keyValues);
        var files = ModelOptLayout.Configs(source, sample.Layers, keyValues);
        using var folder = new TemporaryFolder();
        using (var writer = CheckpointWriter.Open(folder["out"], [], new CheckpointOptions()))
            writer.Complete(files);
        sample.Config = JsonNode.Parse(File.ReadAllBytes(folder["out/config.json"]))!;
        sample.HfQuantConfig = JsonNode.Parse(File.ReadAllBytes(folder["out/hf_quant_config.json"]))!;
        return sample;
    }

    public static SampleCheckpoint Llama(string preset, string scheme, string? keyValues = null) => Quantize("llama",
        Recorded("llama", preset), _ => Schemes.Find(scheme)!, keyValues is null ? null : Schemes.FindKeyValues(keyValues));

    public void Write(string folder, long maxShardBytes = 1 << 30)
    {
        var specs = Tensors.Select(tensor => new TensorSpec(tensor.Key, tensor.Value.DType, tensor.Value.Shape)).ToList();
        using var writer = CheckpointWriter.Open(folder, specs, new CheckpointOptions { MaxShardBytes = maxShardBytes });
        foreach (var (name, tensor) in Tensors)
            writer.Write(name, tensor);
        var files = new List<SideFile> { SideFile.Of("config.json", JsonSerializer.SerializeToUtf8Bytes(Config)) };
        if (HfQuantConfig is not null)
            files.Add(SideFile.Of("hf_quant_config.json", JsonSerializer.SerializeToUtf8Bytes(HfQuantConfig)));
        writer.Complete(files);
    }

    void Add(string module, CheckpointFolder source, JsonElement recorded, Func<string, Scheme> schemeOf)
    {
        var scheme = schemeOf(module);
        var weight = source.Load($"{module}.weight");
        var leaf = module[(module.LastIndexOf('.') + 1)..];
        var siblings = Fused.FirstOrDefault(group => group.Contains(leaf)) ?? [leaf];
        float? shared = scheme.Weight.FusedModulesShareScale
            ? siblings.Max(sibling => WeightQuantizer.AbsMax(source.Load($"{module[..^leaf.Length]}{sibling}.weight"))) : null;
        var quantized = WeightQuantizer.Quantize(weight, scheme.Weight, shared);
        var inputScale = scheme.NeedsData
            ? scheme.Activation!.Scale(Amax(recorded, module).GetSingle()) : 1;
        foreach (var (name, tensor) in ModelOptLayout.Tensors(module, scheme, quantized, inputScale))
            Tensors.Add(name, tensor);
        Layers.Add((module, scheme));
    }

    /// <summary>
    /// Maxima are recorded under the names modules have in memory, which a vision-language model spells otherwise.
    /// </summary>
    static JsonElement Amax(JsonElement recorded, string module) =>
        recorded.GetProperty("amax").TryGetProperty($"{module}.input_quantizer", out var amax) ? amax
        : recorded.GetProperty("amax").GetProperty($"{module.Replace("model.", "model.language_model.")}.input_quantizer");

    void AddKeyValues(JsonElement recorded, KeyValueFormat format)
    {
        foreach (var (attention, keys, values) in KeyValueAmax(recorded))
            foreach (var (name, tensor) in ModelOptLayout.KeyValueTensors(
                new KeyValueScales(attention, format.Scale(keys), format.Scale(values))))
                Tensors.Add(name, tensor);
    }

    static IEnumerable<(string Attention, float Keys, float Values)> KeyValueAmax(JsonElement recorded)
    {
        const string Ending = ".k_bmm_quantizer";
        var amax = recorded.GetProperty("amax");
        foreach (var entry in amax.EnumerateObject().Where(entry => entry.Name.EndsWith(Ending, StringComparison.Ordinal)))
            yield return (entry.Name[..^Ending.Length].Replace("model.language_model.", "model.")
                .Replace("model.visual.", "visual."), entry.Value.GetSingle(),
                amax.GetProperty(entry.Name.Replace(".k_bmm", ".v_bmm")).GetSingle());
    }
}
