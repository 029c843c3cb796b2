using System.Buffers.Binary;
using System.Text.Json;
using Nibble.Tensors;

namespace Nibble.Export.Safetensors;

/// <summary>One safetensors file, memory-mapped: an 8-byte header length, a JSON header, then the bytes of the tensors.</summary>
public sealed class SafetensorsFile : ITensorSource, IDisposable
{
    /// <summary>The reference library's bound on the header, in bytes.</summary>
    public const long LargestHeader = 100_000_000;

    readonly Dictionary<string, (TensorSpec Spec, long Offset)> entries = [];
    readonly List<TensorSpec> order = [];
    readonly MappedStorage storage;

    SafetensorsFile(string path)
    {
        Path = path;
        storage = new MappedStorage(path);
    }

    public string Path { get; }

    public IReadOnlyCollection<TensorSpec> Tensors => order;

    /// <exception cref="CheckpointException">The header lies about the file.</exception>
    public static unsafe SafetensorsFile Open(string path)
    {
        var file = new SafetensorsFile(path);
        if (file.storage.Bytes < 8)
            throw new CheckpointException(path, $"8 bytes of header length expected, the file has {file.storage.Bytes}");
        var length = BinaryPrimitives.ReadInt64LittleEndian(new ReadOnlySpan<byte>(file.storage.Pointer, 8));
        if (length < 0 || length > LargestHeader || length > file.storage.Bytes - 8)
            throw new CheckpointException(path, $"header of {length} bytes in a file of {file.storage.Bytes}");

        var reader = new Utf8JsonReader(new ReadOnlySpan<byte>(file.storage.Pointer + 8, (int)length));
        using var header = JsonDocument.ParseValue(ref reader);
        foreach (var property in header.RootElement.EnumerateObject())
        {
            if (property.Name == "__metadata__")
                continue;
            var name = property.Value.GetProperty("dtype").GetString()!;
            if (DTypes.Parse(name) is not { } type)
                continue;
            var shape = new Shape([.. property.Value.GetProperty("shape").EnumerateArray().Select(item => item.GetInt64())]);
            var offset = 8 + length + property.Value.GetProperty("data_offsets")[0].GetInt64();
            file.entries[property.Name] = (new TensorSpec(property.Name, type, shape), offset);
        }
        file.order.AddRange(file.entries.Values.OrderBy(entry => entry.Offset).Select(entry => entry.Spec));
        return file;
    }

    public TensorSpec? Find(string name) => entries.TryGetValue(name, out var entry) ? entry.Spec : null;

    public Tensor Load(string name) => entries.TryGetValue(name, out var entry)
        ? new Tensor(storage, entry.Offset, entry.Spec.Shape, entry.Spec.DType)
        : throw new CheckpointException(Path, "not in this file", name);

    public void Dispose() => storage.Dispose();
}
