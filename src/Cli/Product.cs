namespace Nibble.Cli;

/// <summary>This program.</summary>
static class Product
{
    const string Name = "nibble";

    public static string Version { get; } = typeof(Product).Assembly.GetName().Version?.ToString(3) ?? "0.0.0";

    /// <summary>How to call the program from here: by its name where it is on the path, else by the file that is running.</summary>
    public static string Call { get; } = Find();

    static string Find()
    {
        var file = Environment.ProcessPath;
        if (file is null || Path.GetFileNameWithoutExtension(file) != Name)
            return Name; // run by another program, like a test
        var folders = Environment.GetEnvironmentVariable("PATH")?.Split(Path.PathSeparator) ?? [];
        return folders.Contains(Path.GetDirectoryName(file)) ? Name : Path.GetRelativePath(Environment.CurrentDirectory, file);
    }
}
