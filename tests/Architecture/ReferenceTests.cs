using System.Xml.Linq;
using Nibble.Tests.Support;

namespace Nibble.Tests.Architecture;

public class ReferenceTests
{
    static readonly Dictionary<string, string[]> MayReference = new()
    {
        ["Nibble.Tensors"] = [],
        ["Nibble.Models"] = ["Nibble.Tensors"],
        ["Nibble.Quant"] = ["Nibble.Tensors", "Nibble.Models"],
        ["Nibble.Export"] = ["Nibble.Tensors", "Nibble.Quant"],
        ["Nibble.Cli"] = ["Nibble.Tensors", "Nibble.Models", "Nibble.Quant", "Nibble.Export"],
    };

    static readonly Dictionary<string, string[]> MayUsePackages = new()
    {
        ["Nibble.Tensors"] = ["System.Numerics.Tensors"],
        ["Nibble.Models"] = ["System.Numerics.Tensors"],
        ["Nibble.Quant"] = ["System.Numerics.Tensors"],
        ["Nibble.Export"] = ["System.Numerics.Tensors"],
        ["Nibble.Cli"] = ["System.CommandLine", "YamlDotNet"],
    };

    public static TheoryData<string> Projects() =>
        [.. Directory.GetFiles(Repository.Path("src"), "*.csproj", SearchOption.AllDirectories)
            .Select(project => Path.GetRelativePath(Repository.Root, project))];

    [Theory, MemberData(nameof(Projects))]
    public void A_project_references_only_what_lies_below_it(string project)
    {
        var name = Path.GetFileNameWithoutExtension(project);
        var document = XDocument.Load(Repository.Path(project));
        var references = document.Descendants("ProjectReference")
            .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value.Replace('\\', '/')));
        var packages = document.Descendants("PackageReference").Select(reference => reference.Attribute("Include")!.Value);

        Assert.Contains(name, MayReference.Keys);
        Assert.Empty(references.Except(MayReference[name]));
        Assert.Empty(packages.Except(MayUsePackages[name]));
    }

    [Fact]
    public void Transitive_references_are_off() =>
        Assert.Contains("<DisableTransitiveProjectReferences>true", File.ReadAllText(Repository.Path("Directory.Build.props")));

    /// <summary>A using is an arrow from the folder of the file; within one component, the Jinja interpreter, folders may use each other.</summary>
    [Fact]
    public void No_two_folders_use_each_other()
    {
        var arrows = Directory.GetFiles(Repository.Path("src"), "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Split('/', '\\').Any(part => part is "obj" or "bin"))
            .Select(File.ReadAllLines)
            .SelectMany(lines => lines.Where(line => line.StartsWith("using Nibble.", StringComparison.Ordinal))
                .Select(line => (From: Named(lines, "namespace "), To: line["using ".Length..^1])))
            .Where(arrow => !arrow.From.Contains(".Jinja.", StringComparison.Ordinal))
            .ToHashSet();
        Assert.True(arrows.Count > 50);
        Assert.DoesNotContain(arrows, arrow => arrows.Contains((arrow.To, arrow.From)));

        static string Named(string[] lines, string word) =>
            lines.First(line => line.StartsWith(word, StringComparison.Ordinal))[word.Length..^1];
    }

    [Fact]
    public void No_source_file_exceeds_400_lines()
    {
        var long_files =
            from folder in (string[])["src", "tests", "perf"]
            from file in Directory.GetFiles(Repository.Path(folder), "*.cs", SearchOption.AllDirectories)
            where !file.Split('/', '\\').Any(part => part is "obj" or "bin")
            let lines = File.ReadLines(file).Count()
            where lines > 400
            select $"{Path.GetRelativePath(Repository.Root, file)}: {lines}";
        Assert.Empty(long_files);
    }
}
