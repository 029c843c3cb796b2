using System.Text.Json;

namespace Nibble.Export.Layouts;

/// <summary>What a checkpoint says of its own quantization, read from either of its two descriptions.</summary>
/// <param name="Source">The file it was read from.</param>
/// <param name="Algorithm"><c>quant_algo</c>, or null.</param>
/// <param name="KeyValues"><c>FP8</c>, <c>NVFP4</c> and the like, or null.</param>
/// <param name="Group">The stated group size, or null.</param>
/// <param name="Excluded">Patterns of unquantized modules.</param>
/// <param name="Layers">Module to algorithm and group where layers are listed; null where one algorithm holds for all.</param>
sealed record ModelOptDescription(
    string Source, string? Algorithm, string? KeyValues, int? Group, IReadOnlyList<string> Excluded,
    IReadOnlyDictionary<string, (string Algorithm, int? Group)>? Layers)
{
    /// <summary>
    /// The description of a folder, or null where it has none of this kind. hf_quant_config.json comes first, as in most loaders.
    /// </summary>
    /// <exception cref="CheckpointException">A description with fields of the wrong kind.</exception>
    public static ModelOptDescription? Of(CheckpointFolder folder) => OfHfQuantConfig(folder) ?? OfConfig(folder);

    public static ModelOptDescription? OfHfQuantConfig(CheckpointFolder folder) =>
        folder.HfQuantConfig is { } root && root.TryGetProperty("quantization", out var quantization)
            ? Read(Path.Combine(folder.Path, "hf_quant_config.json"), quantization, "exclude_modules", quantization) : null;

    public static ModelOptDescription? OfConfig(CheckpointFolder folder) =>
        folder.QuantizationConfig is { } config && Text(config, "quant_method") is { } method
            && method.StartsWith("modelopt", StringComparison.OrdinalIgnoreCase)
            ? Read(Path.Combine(folder.Path, "config.json"), config, "ignore", FirstGroup(config)) : null;

    /// <summary>The stored format of a module that holds codes, or null when the description has none for it.</summary>
    public ModelOptFormat? FormatOf(string module)
    {
        if (Layers is not null)
            return Layers.TryGetValue(module, out var layer) ? Format(layer.Algorithm, layer.Group) : null;
        return Algorithm is null || ExcludePatterns.Match(Excluded, module) ? null : Format(Algorithm, Group);
    }

    static ModelOptFormat? Format(string algorithm, int? group) =>
        ModelOptFormat.Find(algorithm) is { } format ? format.NamesGroup && group is { } size ? format with { Group = size }
            : format : null;

    static ModelOptDescription Read(string path, JsonElement fields, string exclude, JsonElement grouped)
    {
        if (fields.ValueKind != JsonValueKind.Object)
            throw new CheckpointException(path, $"an object of quantization settings expected; found {fields.ValueKind}");
        try
        {
            return new ModelOptDescription(path, Text(fields, "quant_algo"), KeyValuesOf(fields), GroupOf(path, grouped),
                Strings(path, fields, exclude), LayersOf(path, fields));
        }
        catch (InvalidOperationException e)
        {
            throw new CheckpointException(path, $"text that is no Unicode: {e.Message}", inner: e);
        }
    }

    static JsonElement FirstGroup(JsonElement config)
    {
        if (config.TryGetProperty("config_groups", out var groups) && groups.ValueKind == JsonValueKind.Object)
            foreach (var group in groups.EnumerateObject())
                if (group.Value.ValueKind == JsonValueKind.Object && group.Value.TryGetProperty("weights", out var weights))
                    return weights;
        return config;
    }

    static string? KeyValuesOf(JsonElement fields)
    {
        if (Text(fields, "kv_cache_quant_algo") is { } algorithm)
            return algorithm;
        if (!fields.TryGetProperty("kv_cache_scheme", out var scheme))
            return null;
        if (scheme.ValueKind == JsonValueKind.String)
            return scheme.GetString();
        return scheme.ValueKind == JsonValueKind.Object && scheme.TryGetProperty("num_bits", out var bits)
            ? bits.GetRawText() == "8" ? "FP8" : $"{bits.GetRawText()} bits" : null;
    }

    static int? GroupOf(string path, JsonElement fields)
    {
        if (fields.ValueKind != JsonValueKind.Object || !fields.TryGetProperty("group_size", out var group)
            || group.ValueKind == JsonValueKind.Null)
            return null;
        return group.ValueKind == JsonValueKind.Number && group.TryGetInt32(out var size) && size is > 0 and <= 1 << 20 ? size
            : throw new CheckpointException(path, $"group_size must be a positive number; it is {group.GetRawText()}");
    }

    static IReadOnlyList<string> Strings(string path, JsonElement fields, string name)
    {
        if (!fields.TryGetProperty(name, out var list) || list.ValueKind == JsonValueKind.Null)
            return [];
        if (list.ValueKind != JsonValueKind.Array || list.EnumerateArray().Any(item => item.ValueKind != JsonValueKind.String))
            throw new CheckpointException(path, $"{name} must be a list of names");
        return [.. list.EnumerateArray().Select(item => item.GetString()!)];
    }

    static Dictionary<string, (string, int?)>? LayersOf(string path, JsonElement fields)
    {
        if (!fields.TryGetProperty("quantized_layers", out var list) || list.ValueKind == JsonValueKind.Null)
            return null;
        if (list.ValueKind != JsonValueKind.Object)
            throw new CheckpointException(path, $"quantized_layers must be an object; it is {list.ValueKind}");
        var layers = new Dictionary<string, (string, int?)>();
        foreach (var layer in list.EnumerateObject())
            layers[layer.Name] = layer.Value.ValueKind == JsonValueKind.Object && Text(layer.Value, "quant_algo") is { } algorithm
                ? (algorithm, GroupOf(path, layer.Value))
                : throw new CheckpointException(path, $"quantized_layers has no quant_algo for '{layer.Name}'");
        return layers;
    }

    static string? Text(JsonElement fields, string name) =>
        fields.ValueKind == JsonValueKind.Object && fields.TryGetProperty(name, out var value)
            && value.ValueKind == JsonValueKind.String
            ? value.GetString() : null;
}
