using System.Text.Json;
using Nibble.Export.Layouts;
using Nibble.Quant.Formats;

namespace Nibble.Export.Verification;

/// <summary>Rules on config.json and hf_quant_config.json alone.</summary>
static class ConfigRules
{
    /// <summary>Algorithms each program reads, per layer. Their absence here is a refusal at load.</summary>
    static IReadOnlyList<string> Accepted(Target target) => target switch
    {
        Target.Any => [.. ModelOptFormat.All.Select(format => format.Algorithm)],
        Target.Vllm => ["FP8", "FP8_PER_CHANNEL_PER_TOKEN", "FP8_PB_WO", "NVFP4", "W4A16_NVFP4", "MXFP8"],
        Target.Sglang => ["FP8", "NVFP4"],
        Target.TensorRtLlm => ["FP8", "FP8_PER_CHANNEL_PER_TOKEN", "fp8_pb_wo", "NVFP4", "NVFP4_AWQ", "W4A16_AWQ", "W4A8_AWQ",
            "W8A16",
            "W8A8_SQ_PER_CHANNEL", "W4A8_NVFP4_FP8", "W4A8_MXFP4_FP8"],
        _ => [],
    };

    static bool AcceptsMixed(Target target) => target is Target.Any or Target.Vllm or Target.TensorRtLlm;

    /// <summary>Both descriptions are there when one is: some programs read the one, some the other.</summary>
    public static IEnumerable<Finding> Present(VerifiedCheckpoint checkpoint)
    {
        if (checkpoint.Description is null && checkpoint.Modules.Any(checkpoint.HasCodes))
            yield return new("config.json", "configs-present", "a quantization_config of quant_method modelopt",
                "codes without any description");
        if (checkpoint.Folder.Config.IsEmpty)
            yield return new("config.json", "configs-present", "a configuration of the model", "no such file");
        else if (checkpoint.HfQuantConfig is not null && checkpoint.Config is null)
            yield return new("config.json", "configs-present", "a quantization_config of quant_method modelopt", "none");
        if (checkpoint.Config is not null && checkpoint.HfQuantConfig is null)
            yield return new("hf_quant_config.json", "configs-present", "a description beside that in config.json",
                "no such file");
    }

    /// <summary>
    /// Both descriptions say the same; a program that finds a difference warns, another silently follows the wrong one.
    /// </summary>
    public static IEnumerable<Finding> Agree(VerifiedCheckpoint checkpoint)
    {
        if (checkpoint is not { HfQuantConfig: { } first, Config: { } second })
            return [];
        return new (string Field, string First, string Second)[]
        {
            ("quant_algo", first.Algorithm ?? "null", second.Algorithm ?? "null"),
            ("key and value cache", first.KeyValues ?? "null", second.KeyValues ?? "null"),
            ("excluded modules", string.Join(", ", first.Excluded.Order()), string.Join(", ", second.Excluded.Order())),
            ("quantized layers", Layers(first), Layers(second)),
            // config.json states it for few algorithms, and with several formats it is a matter of the layers
            ("group_size", $"{first.Group}", $"{(first.Layers is null ? second.Group : null) ?? first.Group}"),
        }.Where(pair => pair.First != pair.Second)
        .Select(pair => new Finding("config.json", "configs-agree", $"{pair.Field} {pair.First} as in hf_quant_config.json",
            pair.Second));
    }

    /// <summary>The program reads every algorithm the checkpoint uses.</summary>
    public static IEnumerable<Finding> AlgorithmAccepted(VerifiedCheckpoint checkpoint)
    {
        if (checkpoint.Description is not { } description)
            yield break;
        var accepted = Accepted(checkpoint.Target);
        var expected = accepted.Count == 0 ? "no quantization of this kind" : $"one of {string.Join(", ", accepted)}";
        if (checkpoint.Target == Target.Transformers)
            yield return new(description.Source, "algorithm-accepted", expected, description.Algorithm ?? "a quantized cache");
        else if (description.Algorithm == "MIXED_PRECISION" && !AcceptsMixed(checkpoint.Target))
            yield return new(description.Source, "algorithm-accepted", expected, "MIXED_PRECISION");
        else
            foreach (var algorithm in (description.Layers?.Values.Select(layer => layer.Algorithm)
                ?? [description.Algorithm ?? ""]).Distinct())
                if (algorithm.Length > 0 && !accepted.Contains(algorithm, checkpoint.Target == Target.Vllm
                    ? StringComparer.OrdinalIgnoreCase : StringComparer.Ordinal)) // vLLM upper-cases the name first
                    yield return new(description.Source, "algorithm-accepted", expected, algorithm);
    }

    /// <summary>What <see cref="AlgorithmAccepted"/> and <see cref="CacheAccepted"/> would find, known before anything is written.</summary>
    public static IEnumerable<string> Refusals(Target target, IReadOnlyCollection<Scheme> schemes, KeyValueFormat? keyValues)
    {
        var accepted = Accepted(target);
        foreach (var scheme in schemes)
            if (ModelOptFormat.Of(scheme) is { } format && !accepted.Contains(format.Algorithm, StringComparer.OrdinalIgnoreCase))
                yield return $"{scheme} is {format.Algorithm} on disk; {(accepted.Count == 0 ? "it reads no such checkpoint" : $"it reads {string.Join(", ", accepted)}")}";
        if (schemes.Count > 1 && !AcceptsMixed(target))
            yield return "several formats in one checkpoint";
        if (keyValues is not null && !AcceptedCaches(target).Contains(ModelOptLayout.KeyValueName(keyValues)))
            yield return $"a cache in {keyValues}; it reads {string.Join(" or ", AcceptedCaches(target))}";
        else if (target != Target.Any && keyValues is { Centred: true })
            yield return $"a cache in {keyValues}; it does not read the biases";
        else if (target != Target.Any && keyValues is { Rotates: true })
            yield return $"a cache in {keyValues}; it does not rotate keys and queries";
    }

    static string[] AcceptedCaches(Target target) => target switch
    {
        Target.Any => ["FP8", "INT8", "NVFP4", "NVFP4_AFFINE"],
        Target.TensorRtLlm => ["FP8", "INT8", "NVFP4"],
        _ => ["FP8"],
    };

    /// <summary>The fields NVFP4 loaders look up without a default.</summary>
    public static IEnumerable<Finding> FieldsPresent(VerifiedCheckpoint checkpoint)
    {
        if (checkpoint.HfQuantConfig is not { Algorithm: "NVFP4" or "W4A16_NVFP4" }
            || checkpoint.Folder.HfQuantConfig is not { } root)
            yield break;
        var quantization = root.GetProperty("quantization");
        foreach (var field in new[] { "group_size", "kv_cache_quant_algo", "exclude_modules" })
            if (!quantization.TryGetProperty(field, out _))
                yield return new("hf_quant_config.json", "fields-present", field, "no such field");
        if (checkpoint.Target == Target.Sglang && quantization.TryGetProperty("exclude_modules", out var excluded)
            && excluded is { ValueKind: JsonValueKind.Array } && excluded.GetArrayLength() == 0)
            yield return new("hf_quant_config.json", "fields-present", "exclude_modules with an entry", "an empty list");
    }

    /// <summary>The program reads the format of cached keys and values.</summary>
    public static IEnumerable<Finding> CacheAccepted(VerifiedCheckpoint checkpoint)
    {
        var accepted = AcceptedCaches(checkpoint.Target);
        if (checkpoint.Description is { KeyValues: { } format } description && !accepted.Contains(format))
            yield return new(description.Source, "cache-accepted", string.Join(" or ", accepted), format);
        else if (checkpoint.Target != Target.Any && checkpoint.Folder.Tensors
            .FirstOrDefault(tensor => tensor.Name.EndsWith(".k_proj.k_bias", StringComparison.Ordinal)) is { } bias)
            yield return new(bias.Name, "cache-accepted", "no biases, for the program does not read them", "a centred cache");
    }

    static string Layers(ModelOptDescription description) => description.Layers is null ? ""
        : string.Join(", ", description.Layers.OrderBy(layer => layer.Key)
            .Select(layer => $"{layer.Key}={layer.Value.Algorithm} {layer.Value.Group}"));
}
