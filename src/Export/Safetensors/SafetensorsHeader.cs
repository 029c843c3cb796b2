using System.Text.Json;
using System.Text.Unicode;
using Nibble.Tensors;

namespace Nibble.Export.Safetensors;

/// <summary>One tensor as a header declares it.</summary>
/// <param name="Type">The format's name, like <c>BF16</c>. It may be one this library cannot compute with.</param>
/// <param name="Start">The first byte, counted from the start of the file.</param>
public sealed record SafetensorsEntry(string Name, string Type, Shape Shape, long Start, long Bytes)
{
    /// <summary>The tensor, or null where this library has no such element type.</summary>
    public TensorSpec? Spec { get; } = DTypes.Parse(Type) is { } type ? new TensorSpec(Name, type, Shape) : null;
}

/// <summary>
/// The JSON header of a safetensors file, checked against the size of the file. Accepts and refuses what version 0.8.0 of the
/// reference library does: no holes, no overlaps, no trailing bytes; the last of several equal names wins; other fields are
/// ignored.
/// </summary>
static class SafetensorsHeader
{
    /// <summary>The reference library's bound on the header, in bytes.</summary>
    public const long Largest = 100_000_000;

    const string MetadataName = "__metadata__";

    // The reference has no bound; frameworks stop at 64 dimensions.
    const int LargestRank = 64;

    /// <param name="dataBytes">Bytes of the file behind the header.</param>
    /// <returns>The tensors by offset, and the strings of the file.</returns>
    public static (List<SafetensorsEntry> Entries, Dictionary<string, string> Metadata) Parse(
        string path, ReadOnlySpan<byte> json, long dataBytes)
    {
        if (!Utf8.IsValid(json))
            throw new CheckpointException(path, "the header is not UTF-8");
        try
        {
            var (entries, metadata) = Read(path, json);
            return (InOrder(path, entries, 8 + json.Length, dataBytes), metadata);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CheckpointException(path, $"the header is not valid JSON: {e.Message}", inner: e);
        }
    }

    static (Dictionary<string, SafetensorsEntry> Entries, Dictionary<string, string> Metadata) Read(
        string path, ReadOnlySpan<byte> json)
    {
        var entries = new Dictionary<string, SafetensorsEntry>();
        Dictionary<string, string>? metadata = null;
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 128 });
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new CheckpointException(path, $"the header must be a JSON object; it begins with {reader.TokenType}");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            reader.Read();
            if (name != MetadataName)
                entries[name] = Entry(path, name, ref reader);
            else if (metadata is null)
                metadata = Strings(path, ref reader);
            else
                throw new CheckpointException(path, $"the header has {MetadataName} twice");
        }
        while (reader.Read()) // anything but white space behind the object is an error
        {
        }
        return (entries, metadata ?? []);
    }

    static Dictionary<string, string> Strings(string path, ref Utf8JsonReader reader)
    {
        var strings = new Dictionary<string, string>();
        if (reader.TokenType == JsonTokenType.Null)
            return strings;
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new CheckpointException(path, $"{MetadataName} must be an object of strings; it is {reader.TokenType}");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            strings[key] = reader.TokenType == JsonTokenType.String
                ? reader.GetString()!
                : throw new CheckpointException(path, $"{MetadataName} '{key}' must be a string; it is {reader.TokenType}");
        }
        return strings;
    }

    static SafetensorsEntry Entry(string path, string name, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new CheckpointException(path, $"the header must hold an object; it holds {reader.TokenType}", name);
        string? type = null;
        long[]? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var field = reader.GetString();
            reader.Read();
            if (field == "dtype" && type is null && reader.TokenType == JsonTokenType.String)
                type = reader.GetString();
            else if (field == "shape" && shape is null)
                shape = Integers(path, name, "shape", LargestRank, ref reader);
            else if (field == "data_offsets" && offsets is null)
                offsets = Integers(path, name, "data_offsets", 2, ref reader);
            else if (field is "dtype" or "shape" or "data_offsets")
                throw new CheckpointException(path, $"{field} must be there once and of the right kind", name);
            else
                reader.Skip();
        }
        if (type is null || shape is null || offsets is null)
            throw new CheckpointException(path, "dtype, shape and data_offsets expected", name);
        if (offsets.Length != 2 || offsets[1] < offsets[0])
            throw new CheckpointException(path,
                $"data_offsets must be a start and an end; they are [{string.Join(", ", offsets)}]", name);
        return Sized(path, name, type, shape, offsets[0], offsets[1] - offsets[0]);
    }

    static SafetensorsEntry Sized(string path, string name, string type, long[] dimensions, long start, long bytes)
    {
        Shape shape;
        long bits;
        try
        {
            shape = new Shape(dimensions);
            bits = checked(shape.Elements * BitsOf(path, name, type));
        }
        catch (OverflowException e)
        {
            throw new CheckpointException(path, $"the size of [{string.Join(", ", dimensions)}] {type} is beyond 64 bits", name,
                e);
        }
        if (bits % 8 != 0)
            throw new CheckpointException(path, $"{shape} {type} is {bits} bits, no whole number of bytes", name);
        if (bits / 8 != bytes)
            throw new CheckpointException(path, $"{shape} {type} is {bits / 8} bytes; its data_offsets span {bytes}", name);
        return new SafetensorsEntry(name, type, shape, start, bytes);
    }

    static long[] Integers(string path, string name, string field, int most, ref Utf8JsonReader reader)
    {
        var values = new List<long>();
        if (reader.TokenType != JsonTokenType.StartArray)
            throw new CheckpointException(path, $"{field} must be an array; it is {reader.TokenType}", name);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (values.Count == most)
                throw new CheckpointException(path, $"{field} has more than {most} entries", name);
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetUInt64(out var value) || value > long.MaxValue)
                throw new CheckpointException(path, $"{field} must hold integers from 0 to 2^63 - 1", name);
            values.Add((long)value);
        }
        return [.. values];
    }

    /// <summary>The tensors by offset, moved to file offsets; together they must cover the data exactly.</summary>
    static List<SafetensorsEntry> InOrder(string path, Dictionary<string, SafetensorsEntry> entries, long dataStart,
        long dataBytes)
    {
        var order = entries.Values.OrderBy(entry => entry.Start).ThenBy(entry => entry.Bytes).ToList();
        long end = 0;
        for (var i = 0; i < order.Count; i++)
        {
            var entry = order[i];
            if (entry.Start != end)
                throw new CheckpointException(path, $"byte {end} of the data should be its first; it starts at {entry.Start}",
                    entry.Name);
            if (entry.Bytes > dataBytes - end)
                throw new CheckpointException(path,
                    $"its {entry.Bytes} bytes from {entry.Start} go beyond the file, which holds {dataBytes} bytes of data",
                        entry.Name);
            end += entry.Bytes;
            order[i] = entry with { Start = dataStart + entry.Start };
        }
        return end == dataBytes ? order
            : throw new CheckpointException(path, $"the tensors cover {end} bytes; the file holds {dataBytes} bytes of data");
    }

    static int BitsOf(string path, string name, string type) => type switch
    {
        "F4" => 4,
        "F6_E2M3" or "F6_E3M2" => 6,
        "BOOL" or "U8" or "I8" or "F8_E4M3" or "F8_E5M2" or "F8_E8M0" or "F8_E4M3FNUZ" or "F8_E5M2FNUZ" => 8,
        "I16" or "U16" or "F16" or "BF16" => 16,
        "I32" or "U32" or "F32" => 32,
        "I64" or "U64" or "F64" or "C64" => 64,
        _ => throw new CheckpointException(path, $"'{type}' is no element type of the format", name),
    };
}
