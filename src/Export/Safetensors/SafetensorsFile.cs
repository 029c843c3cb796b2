using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Nibble.Tensors;

namespace Nibble.Export.Safetensors;

/// <summary>One safetensors file, memory-mapped: an 8-byte header length, a JSON header, then the bytes of the tensors.</summary>
public sealed class SafetensorsFile : ITensorSource, IDisposable
{
    const int ReadAheadBytes = 1 << 20;

    readonly Dictionary<string, SafetensorsEntry> entries;
    readonly MappedStorage storage;

    SafetensorsFile(string path, MappedStorage storage, List<SafetensorsEntry> entries, Dictionary<string, string> metadata)
    {
        Path = path;
        this.storage = storage;
        this.entries = entries.ToDictionary(entry => entry.Name);
        Entries = entries;
        Tensors = [.. entries.Select(entry => entry.Spec).OfType<TensorSpec>()];
        Metadata = metadata;
    }

    public string Path { get; }

    /// <summary>The tensors this library can load, by offset.</summary>
    public IReadOnlyCollection<TensorSpec> Tensors { get; }

    /// <summary>All tensors of the header, by offset, those of other element types too.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    /// <summary>The strings under <c>__metadata__</c>; empty where there are none.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <exception cref="CheckpointException">The file cannot be read, or its header lies about it.</exception>
    public static unsafe SafetensorsFile Open(string path)
    {
        Span<byte> prefix = stackalloc byte[8];
        var headerBytes = HeaderBytes(path, prefix);
        var storage = Disk.Try(path, "cannot be mapped", () => new MappedStorage(path));
        try
        {
            if (storage.Bytes < 8 + headerBytes)
                throw new CheckpointException(path, "the file shrank while it was opened");
            var json = new ReadOnlySpan<byte>(storage.Pointer + 8, (int)headerBytes);
            var (entries, metadata) = SafetensorsHeader.Parse(path, json, storage.Bytes - 8 - headerBytes);
            return new SafetensorsFile(path, storage, entries, metadata);
        }
        catch
        {
            storage.Dispose();
            throw;
        }
    }

    public TensorSpec? Find(string name) => entries.TryGetValue(name, out var entry) ? entry.Spec : null;

    /// <summary>The tensor over the mapped bytes; a copy where these are not aligned to its elements.</summary>
    /// <exception cref="CheckpointException">Not in this file, or of an element type this library does not have.</exception>
    public Tensor Load(string name)
    {
        var entry = Entry(name);
        if (entry.Spec is not { } spec)
            throw new CheckpointException(Path, $"this library does not read {entry.Type}", name);
        if (entry.Start % spec.DType.Bytes() == 0)
            return new Tensor(storage, entry.Start, spec.Shape, spec.DType);
        var copy = Tensor.Empty(spec.Shape, spec.DType);
        unsafe
        {
            Buffer.MemoryCopy(storage.Pointer + entry.Start, copy.Pointer, copy.Bytes, copy.Bytes);
        }
        return copy;
    }

    /// <summary>
    /// Reads the bytes of these tensors in file order and drops them, so that the system holds them in memory when the mapping is
    /// touched. Sequential reads are faster than page faults; run it on a thread of its own.
    /// </summary>
    public void Prefetch(IEnumerable<string> names, CancellationToken cancel = default)
    {
        using var handle = Disk.Try(Path, "cannot be read",
            () => File.OpenHandle(Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete,
                FileOptions.SequentialScan));
        var buffer = new byte[ReadAheadBytes];
        foreach (var entry in names.Select(Entry).OrderBy(entry => entry.Start))
            for (var done = 0L; done < entry.Bytes; done += buffer.Length)
            {
                cancel.ThrowIfCancellationRequested();
                var length = (int)Math.Min(buffer.Length, entry.Bytes - done);
                Disk.Try(Path, "cannot be read", () => RandomAccess.Read(handle, buffer.AsSpan(0, length), entry.Start + done));
            }
    }

    public void Dispose() => storage.Dispose();

    SafetensorsEntry Entry(string name) =>
        entries.TryGetValue(name, out var entry) ? entry : throw new CheckpointException(Path, "not in this file", name);

    static long HeaderBytes(string path, Span<byte> prefix)
    {
        using var handle = Disk.Try(path, "cannot be opened",
            () => File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete));
        var (bytes, read) = ReadPrefix(path, handle, prefix);
        if (read < 8)
            throw new CheckpointException(path, $"8 bytes of header length expected, the file has {bytes}");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > SafetensorsHeader.Largest)
            throw new CheckpointException(path, $"a header of {length} bytes; at most {SafetensorsHeader.Largest} expected");
        if ((long)length > bytes - 8)
            throw new CheckpointException(path, $"a header of {length} bytes in a file of {bytes}");
        return (long)length;
    }

    static (long Bytes, int Read) ReadPrefix(string path, SafeFileHandle handle, Span<byte> prefix)
    {
        try
        {
            return (RandomAccess.GetLength(handle), RandomAccess.Read(handle, prefix, 0));
        }
        catch (Exception e) when (Disk.IsFailure(e))
        {
            throw new CheckpointException(path, $"cannot be read: {e.Message}", inner: e);
        }
    }
}
