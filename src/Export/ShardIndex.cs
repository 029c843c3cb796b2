using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Nibble.Tensors;

namespace Nibble.Export;

/// <summary>How a checkpoint is cut into files, and the index that says so.</summary>
static class ShardIndex
{
    public const string FileName = "model.safetensors.index.json";

    /// <summary>
    /// Tensors in order, a new file whenever the next one would pass the bound; a tensor beyond the bound gets a file of its own.
    /// </summary>
    public static List<(string File, List<TensorSpec> Tensors)> Cut(IReadOnlyList<TensorSpec> tensors, long maxShardBytes)
    {
        var shards = new List<List<TensorSpec>> { new() };
        long bytes = 0;
        foreach (var tensor in tensors)
        {
            if (shards[^1].Count > 0 && bytes + tensor.Bytes > maxShardBytes)
            {
                shards.Add([]);
                bytes = 0;
            }
            shards[^1].Add(tensor);
            bytes += tensor.Bytes;
        }
        return [.. shards.Select((shard, i) => (shards.Count == 1 ? "model.safetensors" : Numbered(i + 1, shards.Count), shard))];
    }

    /// <summary>The index as the usual writer makes it: indented, names in order.</summary>
    public static void Write(Stream stream, IReadOnlyList<(string File, List<TensorSpec> Tensors)> shards)
    {
        var map = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (file, tensors) in shards)
            foreach (var tensor in tensors)
                map[tensor.Name] = file;
        using (var json = new Utf8JsonWriter(stream,
            new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            json.WriteNumber("total_size", shards.Sum(shard => shard.Tensors.Sum(tensor => tensor.Bytes)));
            json.WriteEndObject();
            json.WriteStartObject("weight_map");
            foreach (var (tensor, file) in map)
                json.WriteString(tensor, file);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        stream.WriteByte((byte)'\n');
    }

    /// <returns>Tensor to file name, and the total size where the index states one.</returns>
    /// <exception cref="CheckpointException">No JSON, no map, or a file name that leaves the folder.</exception>
    public static (Dictionary<string, string> Map, long? TotalSize) Read(string path, ReadOnlyMemory<byte> bytes)
    {
        try
        {
            using var document = JsonDocument.Parse(bytes);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("weight_map", out var entries)
                || entries.ValueKind != JsonValueKind.Object)
                throw new CheckpointException(path, "an object with weight_map expected");
            var map = new Dictionary<string, string>();
            foreach (var entry in entries.EnumerateObject())
            {
                var file = ShardName(path, entry);
                if (!map.TryAdd(entry.Name, file) && map[entry.Name] != file)
                    throw new CheckpointException(path, $"in {map[entry.Name]} and in {file}", entry.Name);
            }
            return (map, TotalSize(root));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CheckpointException(path, $"not valid JSON: {e.Message}", inner: e);
        }
    }

    static long? TotalSize(JsonElement root) =>
        root.TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object
            && metadata.TryGetProperty("total_size", out var size) && size.ValueKind == JsonValueKind.Number
            && size.TryGetDouble(out var value) && Math.Abs(value) < 1e18 // some writers store 1.4e10
            ? (long)value : null;

    static string ShardName(string path, JsonProperty entry)
    {
        if (entry.Value.ValueKind != JsonValueKind.String || entry.Value.GetString() is not { Length: > 0 } file)
            throw new CheckpointException(path, $"a file name expected; found {entry.Value.ValueKind}", entry.Name);
        return file.AsSpan().ContainsAny("/\\:\0") || file is "." or ".."
            ? throw new CheckpointException(path, $"'{file}' is not the name of a file in this folder", entry.Name) : file;
    }

    static string Numbered(int number, int count) =>
        string.Create(CultureInfo.InvariantCulture, $"model-{number:D5}-of-{count:D5}.safetensors");
}
