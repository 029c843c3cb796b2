using System.Text.Json;

namespace Nibble.Models.Config;

/// <summary>One object of a config.json, read key by key. A key that is null counts as absent.</summary>
/// <remarks>Every error names the file, the dotted key, what was expected and what was found.</remarks>
readonly struct ConfigObject(JsonElement element, string origin, string path = "")
{
    const int LongestShown = 60;

    /// <summary>Parses a whole file, which must hold one object.</summary>
    public static ConfigObject Parse(ReadOnlySpan<byte> json, string origin)
    {
        JsonElement root;
        try
        {
            var reader = new Utf8JsonReader(json);
            root = JsonElement.ParseValue(ref reader);
            if (reader.Read())
                throw new ModelException($"{origin}: expected one JSON object, found something behind it.");
        }
        catch (JsonException error)
        {
            throw new ModelException($"{origin}: not valid JSON: {error.Message}", error);
        }
        return root.ValueKind == JsonValueKind.Object
            ? new ConfigObject(root, origin)
            : throw new ModelException($"{origin}: expected a JSON object, found {Show(root)}.");
    }

    /// <summary>The key is written down, be it as null.</summary>
    public bool Mentions(string key) => element.TryGetProperty(key, out _);

    public bool Has(string key) => Find(key) is not null;

    /// <summary>A nested object, or null where there is none.</summary>
    public ConfigObject? Child(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } child => new ConfigObject(child, origin, $"{path}{key}."),
        _ => throw Wrong(key, "an object"),
    };

    public string? Text(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => text.GetString(),
        _ => throw Wrong(key, "a string"),
    };

    public bool Flag(string key, bool otherwise) => Find(key)?.ValueKind switch
    {
        null => otherwise,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(key, "true or false"),
    };

    /// <summary>A whole number in [least, most]; without a default the key is required.</summary>
    public int Integer(string key, int least, int most, int? otherwise = null)
    {
        if (Find(key) is not { } value)
            return otherwise ?? throw Wrong(key, Between(least, most));
        return Whole(value, least, most) ?? throw Wrong(key, Between(least, most));
    }

    /// <summary>A finite number in [least, most]; without a default the key is required.</summary>
    public double Number(string key, double least, double most, double? otherwise = null)
    {
        if (Find(key) is not { } value)
            return otherwise ?? throw Wrong(key, $"a number from {least} to {most}");
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number >= least && number <= most
            ? number
            : throw Wrong(key, $"a number from {least} to {most}");
    }

    /// <summary>A list of whole numbers in [least, most], at most <paramref name="longest"/>; null where absent.</summary>
    public int[]? Integers(string key, int least, int most, int longest)
    {
        if (Find(key) is not { } value)
            return null;
        var expected = $"a list of at most {longest} numbers, each {Between(least, most)}";
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > longest)
            throw Wrong(key, expected);
        var numbers = new List<int>(value.GetArrayLength());
        foreach (var item in value.EnumerateArray())
            numbers.Add(Whole(item, least, most) ?? throw Wrong(key, expected));
        return [.. numbers];
    }

    /// <summary>One whole number or a list of them, as <c>eos_token_id</c> is written; empty where absent.</summary>
    public int[] IntegerOrList(string key, int least, int most, int longest) =>
        Find(key) is { ValueKind: JsonValueKind.Number }
            ? [Integer(key, least, most)]
            : Integers(key, least, most, longest) ?? [];

    /// <summary>A list of finite numbers; null where absent.</summary>
    public double[]? Numbers(string key)
    {
        if (Find(key) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Array)
            throw Wrong(key, "a list of numbers");
        var numbers = new List<double>(value.GetArrayLength());
        foreach (var item in value.EnumerateArray())
            numbers.Add(item.ValueKind == JsonValueKind.Number && item.TryGetDouble(out var number) && double.IsFinite(number)
                ? number : throw Wrong(key, "finite numbers"));
        return [.. numbers];
    }

    /// <summary>A list of strings; null where absent.</summary>
    public string[]? Texts(string key)
    {
        if (Find(key) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Array)
            throw Wrong(key, "a list of strings");
        var texts = new List<string>(value.GetArrayLength());
        foreach (var item in value.EnumerateArray())
            texts.Add(item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Wrong(key, "strings"));
        return [.. texts];
    }

    /// <summary>The error for a key whose value cannot be used.</summary>
    public ModelException Wrong(string key, string expected) =>
        new($"{origin}: {path}{key}: expected {expected}, found {(Find(key) is { } value ? Show(value) : "nothing")}.");

    JsonElement? Find(string key) =>
        element.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    // Some writers turn 128 into 128.0.
    static int? Whole(JsonElement value, int least, int most) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && number == Math.Floor(number) &&
        number >= least && number <= most ? (int)number : null;

    static string Between(int least, int most) => $"a whole number from {least} to {most}";

    static string Show(JsonElement value)
    {
        var raw = value.GetRawText();
        return raw.Length <= LongestShown ? raw : string.Concat(raw.AsSpan(0, LongestShown), "…");
    }
}
