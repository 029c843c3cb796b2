namespace Nibble.Tests.Support;

/// <summary>Where the repository lies, found upwards from the test assembly.</summary>
static class Repository
{
    public static string Root { get; } = Find();

    /// <summary>A path below the repository root, given with forward slashes.</summary>
    public static string Path(string relative) => System.IO.Path.Combine(Root, relative);

    /// <summary>A path below <c>tests/fixtures</c>.</summary>
    public static string Fixture(string relative) => System.IO.Path.Combine(Root, "tests", "fixtures", relative);

    static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "Engine.sln")))
                return folder.FullName;
        throw new DirectoryNotFoundException("Engine.sln was not found above " + AppContext.BaseDirectory);
    }
}
