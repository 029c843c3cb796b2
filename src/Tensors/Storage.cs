using System.IO.MemoryMappedFiles;
using Nibble.Tensors.Host;

namespace Nibble.Tensors;

/// <summary>Owns a run of bytes outside the managed heap. Released when the last tensor over it is gone, or by Dispose.</summary>
public abstract unsafe class Storage : IDisposable
{
    /// <summary>The first byte; null once released.</summary>
    public byte* Pointer { get; protected set; }

    public long Bytes { get; protected init; }

    /// <summary>Releases the bytes at once. Tensors over them must not be used afterwards.</summary>
    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    /// <summary>These bytes will be read soon: starts bringing them into memory where they are a file's. Safe on any thread.</summary>
    public virtual void Prefetch(long offset, long bytes) { }

    /// <summary>
    /// These bytes will not be read soon: the process gives up their memory where they are a file's, and gets them back from the file
    /// when it touches them.
    /// </summary>
    public virtual void Evict(long offset, long bytes) { }

    /// <summary>
    /// Not released at once: a span over the bytes does not keep their owner alive, so somebody may still be reading what nobody refers to.
    /// </summary>
    ~Storage() => Abandoned.Enter(this);

    protected internal abstract void Release();
}

/// <summary>Native memory, aligned to 64 bytes. Large blocks are reused: see <see cref="BlockPool"/>.</summary>
public sealed unsafe class NativeStorage : Storage
{
    public const int Alignment = 64;

    public NativeStorage(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
        Pointer = BlockPool.Shared.Take(bytes);
        if (bytes > 0)
            GC.AddMemoryPressure(bytes);
    }

    protected internal override void Release()
    {
        if (Pointer is null)
            return;
        BlockPool.Shared.Return(Pointer, Bytes);
        Pointer = null;
        if (Bytes > 0)
            GC.RemoveMemoryPressure(Bytes);
    }
}

/// <summary>A read-only mapping of a whole file. Pages come from the file when touched and can be dropped by the system.</summary>
public sealed unsafe class MappedStorage : Storage
{
    readonly MemoryMappedFile file;
    readonly MemoryMappedViewAccessor view;

    /// <exception cref="IOException">The file cannot be opened; an empty file cannot be mapped.</exception>
    public MappedStorage(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        Bytes = stream.Length;
        file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, true);
        view = file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        byte* pointer = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        Pointer = pointer + view.PointerOffset;
    }

    public override void Prefetch(long offset, long bytes) => Pages.Fetch(Part(offset, bytes), bytes);

    public override void Evict(long offset, long bytes) => Pages.Drop(Part(offset, bytes), bytes);

    byte* Part(long offset, long bytes)
    {
        ObjectDisposedException.ThrowIf(Pointer is null, this);
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Bytes - bytes);
        return Pointer + offset;
    }

    protected internal override void Release()
    {
        if (Pointer is null)
            return;
        Pointer = null;
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        file.Dispose();
    }
}
