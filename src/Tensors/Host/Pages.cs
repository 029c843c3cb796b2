using System.Runtime.InteropServices;

namespace Nibble.Tensors.Host;

/// <summary>Hints to the system about mapped files. Without effect on systems other than Linux: the result never depends on them.</summary>
static unsafe partial class Pages
{
    const int WillNeed = 3, DontNeed = 4; // MADV_*, asm-generic/mman-common.h

    // The kernel reads ahead no more than its own window (128 KiB by default) per request, however much is asked for.
    const long Window = 128 << 10;

    /// <summary>Starts reading the bytes into the system's file cache, and returns before they are there.</summary>
    public static void Fetch(byte* start, long bytes)
    {
        for (var done = 0L; done < bytes; done += Window)
            Advise(start + done, Math.Min(Window, bytes - done), WillNeed);
    }

    /// <summary>Takes the pages out of this process; the next touch maps them again from the file.</summary>
    public static void Drop(byte* start, long bytes) => Advise(start, bytes, DontNeed);

    /// <summary>Whole pages are advised, those the range only touches included: the bytes are a file's and come back when needed.</summary>
    static void Advise(byte* start, long bytes, int advice)
    {
        if (!OperatingSystem.IsLinux() || bytes <= 0)
            return;
        var before = (long)((nuint)start % (nuint)Environment.SystemPageSize);
        _ = Advise((nint)(start - before), (nuint)(bytes + before), advice);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint start, nuint bytes, int advice);
}
