using System.Text.Json;

namespace Nibble.Models.Images;

/// <summary>Values of preprocessor_config.json; a missing or null one has a default, a wrong one an error.</summary>
sealed class PreprocessorSettings
{
    readonly JsonElement config;
    readonly string origin;

    public PreprocessorSettings(JsonElement config, string origin)
    {
        this.origin = origin;
        if (config.ValueKind == JsonValueKind.Object && config.TryGetProperty("image_processor", out var inner))
            config = inner; // processor_config.json
        if (config.ValueKind != JsonValueKind.Object)
            throw new ModelException($"{origin}: an object is expected; found {config.ValueKind}.");
        this.config = config;
    }

    public ModelException Error(string name, string expected, object? found) =>
        new($"{origin}: {name} must be {expected}; found {found}.");

    public string? Text(string name)
    {
        if (Find(config, name) is not { } value)
            return null;
        return value.ValueKind == JsonValueKind.String ? value.GetString() : throw Error(name, "a text", value);
    }

    public bool Flag(string name, bool otherwise) => Find(config, name) switch
    {
        null => otherwise,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        var value => throw Error(name, "true or false", value),
    };

    public long Integer(string name, long otherwise, long least, long most) => Integer(config, name, otherwise, least, most);

    public double Number(string name, double otherwise) => Find(config, name) is { } value ? Number(name, value) : otherwise;

    /// <summary><c>size.shortest_edge</c> and <c>size.longest_edge</c>: both or neither.</summary>
    public (long Shortest, long Longest) Edges(long shortest, long longest)
    {
        if (Find(config, "size") is not { } size)
            return (shortest, longest);
        if (size.ValueKind != JsonValueKind.Object || Find(size, "shortest_edge") is null || Find(size, "longest_edge") is null)
            throw Error("size", "an object with shortest_edge and longest_edge", size);
        return (Integer(size, "shortest_edge", 0, 1, long.MaxValue), Integer(size, "longest_edge", 0, 1, long.MaxValue));
    }

    public Resampling Filter(string name, Resampling otherwise)
    {
        var filter = (Resampling)Integer(name, (long)otherwise, 0, 5);
        return filter is Resampling.Lanczos or Resampling.Bilinear or Resampling.Bicubic ? filter
            : throw Error(name, "1 (lanczos), 2 (bilinear) or 3 (bicubic)", (int)filter);
    }

    /// <summary>Three numbers, or one for all three colours.</summary>
    public IReadOnlyList<float> Colour(string name, IReadOnlyList<float> otherwise)
    {
        if (Find(config, name) is not { } value)
            return otherwise;
        if (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() != 3)
            throw Error(name, "three numbers", value);
        return value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Select(one => (float)Number(name, one))]
            : [.. Enumerable.Repeat((float)Number(name, value), 3)];
    }

    long Integer(JsonElement within, string name, long otherwise, long least, long most)
    {
        if (Find(within, name) is not { } value)
            return otherwise;
        return value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) && number >= least && number <= most
            ? number
            : throw Error(name, $"an integer from {least} to {most}", value);
    }

    double Number(string name, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number)
            ? number
            : throw Error(name, "a number", value);

    static JsonElement? Find(JsonElement within, string name) =>
        within.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
}
