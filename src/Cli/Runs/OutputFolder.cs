using Nibble.Export;

namespace Nibble.Cli.Runs;

/// <summary>The folder a run writes, looked at before the run starts.</summary>
static class OutputFolder
{
    /// <exception cref="CheckpointException">
    /// The folder is the model's own, is a file, or holds something else than an interrupted run and may not be overwritten.
    /// </exception>
    public static void Check(string output, string model, bool overwrite)
    {
        if (Same(output, model))
            throw new CheckpointException(output, "the output folder is the folder the model is read from; another one expected");
        for (var place = new DirectoryInfo(Path.GetFullPath(output)); place is not null; place = place.Parent)
            if (File.Exists(place.FullName))
                throw new CheckpointException(place.FullName, "a folder expected, found a file");
        if (overwrite || !Directory.Exists(output) || Directory.Exists(Path.Combine(output, ".nibble")))
            return;
        if (Directory.EnumerateFileSystemEntries(output).FirstOrDefault() is { } entry)
            throw new CheckpointException(output, $"an empty or new folder expected, found {Path.GetFileName(entry)} in it; --overwrite replaces it");
    }

    /// <summary>Free bytes where this folder is or will be.</summary>
    public static long FreeBytes(string output)
    {
        var folder = new DirectoryInfo(Path.GetFullPath(output));
        while (!folder.Exists && folder.Parent is { } parent)
            folder = parent;
        return new DriveInfo(folder.FullName).AvailableFreeSpace;
    }

    static bool Same(string one, string other) =>
        Path.TrimEndingDirectorySeparator(Path.GetFullPath(one)) == Path.TrimEndingDirectorySeparator(Path.GetFullPath(other));
}
