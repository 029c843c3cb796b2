using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Nibble.Tensors;

namespace Nibble.Export.Safetensors;

/// <summary>Where each tensor of a file to be written lies, known before any of them exists.</summary>
/// <param name="Header">The file up to its first tensor: 8 bytes of length, JSON, spaces up to a multiple of 8.</param>
/// <param name="Tensors">By name, with the first byte counted from the start of the file.</param>
/// <param name="Bytes">Of the whole file.</param>
sealed record SafetensorsLayout(byte[] Header, IReadOnlyDictionary<string, (TensorSpec Spec, long Start)> Tensors, long Bytes)
{
    static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>
    /// Tensors lie as declared, but those of an odd size (no multiple of 8 bytes) come last, largest elements first: the format
    /// allows no padding, and this way every tensor is aligned to its elements.
    /// </summary>
    /// <param name="metadata">Strings of the file beside <c>format</c>; null for none.</param>
    public static SafetensorsLayout Of(
        string path, IReadOnlyList<TensorSpec> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var order = tensors.Where(tensor => tensor.Bytes % 8 == 0)
            .Concat(tensors.Where(tensor => tensor.Bytes % 8 != 0).OrderByDescending(tensor => tensor.DType.Bytes())).ToList();
        var header = Prefix(path, order, metadata);
        var places = new Dictionary<string, (TensorSpec, long)>();
        long end = header.Length;
        foreach (var tensor in order)
        {
            if (tensor.Name == "__metadata__" || !places.TryAdd(tensor.Name, (tensor, end)))
                throw new CheckpointException(path, "declared twice, or a reserved name", tensor.Name);
            end += tensor.Bytes;
        }
        return new SafetensorsLayout(header, places, end);
    }

    static byte[] Prefix(string path, List<TensorSpec> order, IReadOnlyDictionary<string, string>? metadata)
    {
        using var memory = new MemoryStream();
        memory.Write(new byte[8]);
        using (var json = new Utf8JsonWriter(memory, Json))
            Write(json, order, metadata);
        while (memory.Length % 8 != 0)
            memory.WriteByte((byte)' ');
        var bytes = memory.ToArray();
        if (bytes.Length - 8 > SafetensorsHeader.Largest)
            throw new CheckpointException(path,
                $"a header of {bytes.Length - 8} bytes; readers accept {SafetensorsHeader.Largest}");
        BinaryPrimitives.WriteInt64LittleEndian(bytes, bytes.Length - 8);
        return bytes;
    }

    static void Write(Utf8JsonWriter json, List<TensorSpec> order, IReadOnlyDictionary<string, string>? metadata)
    {
        json.WriteStartObject();
        json.WriteStartObject("__metadata__");
        json.WriteString("format", "pt");
        foreach (var (key, value) in metadata ?? new Dictionary<string, string>())
            json.WriteString(key, value);
        json.WriteEndObject();
        long start = 0;
        foreach (var tensor in order)
        {
            json.WriteStartObject(tensor.Name);
            json.WriteString("dtype", tensor.DType.Name());
            json.WriteStartArray("shape");
            foreach (var dimension in tensor.Shape.Dimensions)
                json.WriteNumberValue(dimension);
            json.WriteEndArray();
            json.WriteStartArray("data_offsets");
            json.WriteNumberValue(start);
            json.WriteNumberValue(start += tensor.Bytes);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }
}
