using Microsoft.Win32.SafeHandles;
using Nibble.Tensors;

namespace Nibble.Export.Safetensors;

/// <summary>
/// Writes one safetensors file in any order of tensors. The bytes go to <c>NAME.partial</c>, whose space is taken at once, and
/// the file gets its name when all tensors are there. Several threads may write.
/// </summary>
public sealed class SafetensorsWriter : IDisposable
{
    const string Problem = "cannot be written";
    const int LargestWrite = 64 << 20;

    readonly SafetensorsLayout layout;
    readonly HashSet<string> missing;
    readonly SafeFileHandle? handle; // null when the file already has its name

    SafetensorsWriter(string path, SafetensorsLayout layout, SafeFileHandle? handle)
    {
        Path = path;
        this.layout = layout;
        this.handle = handle;
        missing = [.. layout.Tensors.Keys];
    }

    /// <summary>The name the file gets in the end.</summary>
    public string Path { get; }

    string Partial => Path + ".partial";

    /// <summary>Starts a file with these tensors; an earlier partial file is replaced.</summary>
    /// <param name="metadata">Strings of the file; null for none.</param>
    /// <exception cref="CheckpointException">
    /// The disk is full, the folder cannot be written, or a name is declared twice.
    /// </exception>
    public static SafetensorsWriter Create(
        string path, IReadOnlyList<TensorSpec> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var layout = SafetensorsLayout.Of(path, tensors, metadata);
        var handle = Disk.Try(path, Problem, () => File.OpenHandle(path + ".partial", FileMode.Create, FileAccess.ReadWrite,
            FileShare.Read, FileOptions.None, layout.Bytes));
        var writer = new SafetensorsWriter(path, layout, handle);
        try
        {
            Disk.Try(path, Problem, () => Disk.Reserve(handle, layout.Bytes));
            Disk.Try(path, Problem, () => RandomAccess.Write(handle, layout.Header, 0));
            return writer;
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Goes on with a file of an earlier run, or null when there is none with exactly this header and size.</summary>
    internal static SafetensorsWriter? Reopen(string path, IReadOnlyList<TensorSpec> tensors)
    {
        var layout = SafetensorsLayout.Of(path, tensors);
        var named = File.Exists(path);
        var file = named ? path : path + ".partial";
        if (!File.Exists(file))
            return null;
        var handle = Disk.Try(path, "cannot be opened",
            () => File.OpenHandle(file, FileMode.Open, named ? FileAccess.Read : FileAccess.ReadWrite, FileShare.Read));
        var header = new byte[layout.Header.Length];
        var same = Disk.Try(path, "cannot be read",
            () => RandomAccess.GetLength(handle) == layout.Bytes && RandomAccess.Read(handle, header, 0) == header.Length)
            && header.AsSpan().SequenceEqual(layout.Header);
        if (same && !named)
            return new SafetensorsWriter(path, layout, handle);
        handle.Dispose();
        return same ? new SafetensorsWriter(path, layout, null) : null;
    }

    /// <summary>Counts a tensor of an earlier run as written.</summary>
    internal void Keep(string name) => missing.Remove(name);

    /// <exception cref="CheckpointException">The tensor is not as declared, or the disk is full.</exception>
    public unsafe void Write(string name, Tensor tensor)
    {
        if (!layout.Tensors.TryGetValue(name, out var place))
            throw new CheckpointException(Path, "not declared for this file", name);
        if (tensor.DType != place.Spec.DType || tensor.Shape != place.Spec.Shape)
            throw new CheckpointException(Path, $"declared as {place.Spec.Shape} {place.Spec.DType.Name()}; got {tensor}", name);
        if (handle is null)
            throw new CheckpointException(Path, "the file is already complete", name);
        for (var done = 0L; done < tensor.Bytes; done += LargestWrite)
        {
            var length = (int)Math.Min(LargestWrite, tensor.Bytes - done);
            try
            {
                RandomAccess.Write(handle, new ReadOnlySpan<byte>(tensor.Pointer + done, length), place.Start + done);
            }
            catch (Exception e) when (Disk.IsFailure(e))
            {
                throw new CheckpointException(Path, $"{Problem}: {e.Message}", name, e);
            }
        }
        GC.KeepAlive(tensor);
        lock (missing)
            missing.Remove(name);
    }

    /// <summary>The bytes that are in the file for a tensor; whether they were ever written is not known here.</summary>
    /// <exception cref="CheckpointException">Not declared for this file, or the file cannot be read.</exception>
    internal unsafe Tensor Read(string name)
    {
        if (!layout.Tensors.TryGetValue(name, out var place))
            throw new CheckpointException(Path, "not declared for this file", name);
        using var named = handle is null or { IsClosed: true }
            ? Disk.Try(Path, "cannot be opened", () => File.OpenHandle(Path, FileMode.Open, FileAccess.Read, FileShare.Read)) : null;
        var tensor = Tensor.Empty(place.Spec.Shape, place.Spec.DType);
        for (var done = 0L; done < tensor.Bytes;)
        {
            var from = done;
            var length = (int)Math.Min(LargestWrite, tensor.Bytes - done);
            var read = Disk.Try(Path, "cannot be read", () => RandomAccess.Read(named ?? handle!,
                new Span<byte>(tensor.Pointer + from, length), place.Start + from));
            done += read > 0 ? read
                : throw new CheckpointException(Path, $"{tensor.Bytes} bytes expected at {place.Start}; the file ends after {done}", name);
        }
        return tensor;
    }

    /// <summary>Returns when everything written so far would survive a power failure.</summary>
    public void Flush()
    {
        if (handle is not null)
            Disk.Try(Path, Problem, () => RandomAccess.FlushToDisk(handle));
    }

    /// <summary>Gives the file its name.</summary>
    /// <exception cref="CheckpointException">A declared tensor was not written.</exception>
    public void Complete()
    {
        if (missing.Count > 0)
            throw new CheckpointException(Path, $"declared but not written ({missing.Count} such tensors)",
                missing.Order().First());
        if (handle is null)
            return;
        Flush();
        handle.Dispose();
        if (File.Exists(Partial))
            Disk.Try(Path, Problem, () => File.Move(Partial, Path, overwrite: true));
    }

    /// <summary>Closes the file. Without <see cref="Complete"/> the partial file stays.</summary>
    public void Dispose() => handle?.Dispose();
}
