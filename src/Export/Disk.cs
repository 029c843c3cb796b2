namespace Nibble.Export;

/// <summary>File operations whose failure is one error that names the file.</summary>
static class Disk
{
    public static bool IsFailure(Exception e) =>
        e is (IOException and not CheckpointException) or UnauthorizedAccessException or NotSupportedException;

    public static T Try<T>(string path, string problem, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception e) when (IsFailure(e))
        {
            throw new CheckpointException(path, $"{problem}: {e.Message}", inner: e);
        }
    }

    public static void Try(string path, string problem, Action work) => Try(path, problem, () =>
    {
        work();
        return true;
    });

    /// <summary>Takes the space a file will need.</summary>
    /// <exception cref="IOException">The disk is full, or the file system cannot hold a file of this length.</exception>
    public static void Reserve(Microsoft.Win32.SafeHandles.SafeFileHandle file, long bytes)
    {
        try
        {
            RandomAccess.SetLength(file, bytes);
        }
        catch (ArgumentOutOfRangeException error) // what .NET makes of EFBIG
        {
            throw new IOException($"a file of {bytes} bytes is too large for the file system", error);
        }
    }

    /// <summary>A whole small file.</summary>
    /// <param name="most">Longer files are refused before memory is taken.</param>
    public static byte[] ReadAll(string path, long most) => Try(path, "cannot be read", () =>
    {
        var bytes = new FileInfo(path).Length;
        return bytes <= most ? File.ReadAllBytes(path)
            : throw new CheckpointException(path, $"{bytes} bytes; at most {most} expected");
    });

    /// <summary>
    /// Writes a file beside its place, makes it durable and moves it there, so that it is never seen half written.
    /// </summary>
    public static void WriteAll(string path, Action<FileStream> write) => Try(path, "cannot be written", () =>
    {
        var partial = path + ".partial";
        using (var stream = new FileStream(partial, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            write(stream);
            stream.Flush(flushToDisk: true);
        }
        File.Move(partial, path, overwrite: true);
    });
}
