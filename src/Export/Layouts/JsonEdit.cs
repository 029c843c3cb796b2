using System.Text;
using System.Text.Json;

namespace Nibble.Export.Layouts;

/// <summary>Sets one property of a JSON file and leaves every other byte as it is.</summary>
static class JsonEdit
{
    /// <param name="json">An object.</param>
    /// <param name="value">JSON without line ends in its strings; indented like its surroundings.</param>
    /// <exception cref="CheckpointException">The file is not a JSON object.</exception>
    public static byte[] Set(string path, ReadOnlySpan<byte> json, string property, ReadOnlySpan<byte> value)
    {
        try
        {
            return Edit(path, json, property, Encoding.UTF8.GetString(value));
        }
        catch (JsonException e)
        {
            throw new CheckpointException(path, $"not valid JSON: {e.Message}", inner: e);
        }
    }

    /// <summary>The same in an object below, where it is there and has the property; else every byte stays.</summary>
    /// <param name="json">An object.</param>
    /// <param name="below">The property that may be an object.</param>
    public static byte[] SetWhereFound(string path, ReadOnlySpan<byte> json, string below, string property, ReadOnlySpan<byte> value) =>
        Find(json, below) is { } place && json[place][0] == '{' && Find(json[place], property) is not null
            ? [.. json[..place.Start], .. Set(path, json[place], property, value), .. json[place.End..]] : json.ToArray();

    /// <summary>Where the value of a property is; of several the last.</summary>
    static Range? Find(ReadOnlySpan<byte> json, string property)
    {
        Range? found = null;
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var same = reader.ValueTextEquals(property);
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            if (same)
                found = start..(int)reader.BytesConsumed;
        }
        return found;
    }

    static byte[] Edit(string path, ReadOnlySpan<byte> json, string property, string value)
    {
        var reader = new Utf8JsonReader(json);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new CheckpointException(path, $"a JSON object expected; found {reader.TokenType}");
        var open = (int)reader.BytesConsumed;
        int first = -1, last = open, from = -1, to = -1;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var same = reader.ValueTextEquals(property);
            if (first < 0)
                first = (int)reader.TokenStartIndex;
            reader.Read();
            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            last = (int)reader.BytesConsumed;
            if (same)
                (from, to) = (start, last);
        }
        while (reader.Read()) // nothing may follow the object
        {
        }

        var space = first < 0 ? "" : Encoding.UTF8.GetString(json[open..first]);
        var indented = space.LastIndexOf('\n') is var line and >= 0
            ? value.Replace("\n", "\n" + space[(line + 1)..])
            : string.Concat(value.Split('\n').Select(text => text.TrimStart()));
        var name = JsonEncodedText.Encode(property);
        return from >= 0
            ? [.. json[..from], .. Encoding.UTF8.GetBytes(indented), .. json[to..]]
            : [.. json[..last], .. Encoding.UTF8.GetBytes($"{(first < 0 ? "" : ",")}{space}\"{name}\": {indented}"),
                .. json[last..]];
    }
}
