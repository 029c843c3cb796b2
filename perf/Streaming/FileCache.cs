using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Nibble.Perf.Streaming;

/// <summary>Puts the system's file cache into a known state, and copies files as the bound of whatever reads one and writes another.</summary>
static partial class FileCache
{
    const int DontNeed = 4; // POSIX_FADV_DONTNEED
    const int BufferBytes = 1 << 20;

    public static bool CanDrop => OperatingSystem.IsLinux();

    /// <summary>Forgets the files, so that the next reader waits for the disk.</summary>
    public static void Drop(string folder)
    {
        foreach (var file in Directory.GetFiles(folder))
        {
            using var handle = File.OpenHandle(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            if (Advise(handle, 0, 0, DontNeed) is not 0 and var error)
                throw new IOException($"{file}: posix_fadvise returns {error}.");
        }
    }

    /// <summary>Reads the files once.</summary>
    public static void Warm(string folder)
    {
        var buffer = new byte[BufferBytes];
        foreach (var file in Directory.GetFiles(folder))
        {
            using var handle = File.OpenHandle(file);
            for (long at = 0; RandomAccess.Read(handle, buffer, at) is > 0 and var read;)
                at += read;
        }
    }

    /// <summary>Copies the files through a buffer of 1 MiB and returns when they are on the disk, as the writer of a checkpoint does.</summary>
    /// <returns>Bytes read and written.</returns>
    public static long Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        var buffer = new byte[BufferBytes];
        long bytes = 0;
        foreach (var file in Directory.GetFiles(from))
        {
            using var source = File.OpenHandle(file, options: FileOptions.SequentialScan);
            using var target = File.OpenHandle(Path.Combine(to, Path.GetFileName(file)), FileMode.Create, FileAccess.Write);
            for (long at = 0; RandomAccess.Read(source, buffer, at) is > 0 and var read; at += read, bytes += 2L * read)
                RandomAccess.Write(target, buffer.AsSpan(0, read), at);
            RandomAccess.FlushToDisk(target);
        }
        return bytes;
    }

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Advise(SafeFileHandle file, long offset, long bytes, int advice);
}
