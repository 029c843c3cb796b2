using Nibble.Models;
using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Nibble.Cli.Recipes;

/// <summary>
/// A recipe as YAML: <c>algorithm</c> and its settings, <c>kv</c>, and an ordered list <c>rules</c> of <c>{modules, format, scope}</c> where the last match wins
/// and the format <c>skip</c> leaves modules as they are. docs/recipes.md describes it.
/// </summary>
static class RecipeFile
{
    const int LargestFile = 1 << 20;

    /// <exception cref="UsageException">The file is no recipe; the message names the line.</exception>
    public static Recipe Read(string path)
    {
        if (!File.Exists(path))
            throw new UsageException($"--recipe {path}: no such file.");
        if (new FileInfo(path).Length > LargestFile)
            throw new UsageException($"{path}: a recipe has at most {LargestFile} bytes.");
        try
        {
            var stream = new YamlStream();
            using var reader = new StreamReader(path);
            stream.Load(reader);
            return stream.Documents is [{ RootNode: YamlMappingNode root }] ? Parse(root, path)
                : throw new UsageException($"{path}: one YAML mapping expected.");
        }
        catch (QuantizationException error)
        {
            throw new UsageException($"{path}: {error.Message}");
        }
        catch (YamlException error)
        {
            throw new UsageException($"{path}, line {error.Start.Line}: {error.Message}");
        }
    }

    static Recipe Parse(YamlMappingNode root, string path)
    {
        var settings = new AlgorithmSettings();
        KeyValueFormat? keyValues = null;
        var rules = Skipped().ToList();
        foreach (var (key, value) in root.Children)
            switch (Text(key, path))
            {
                case var name when AlgorithmSettings.Known.Any(setting => setting.Name == name):
                    At(value, path, text =>
                    {
                        settings.Set(name, text);
                        return name;
                    });
                    break;
                case "kv":
                    keyValues = Text(value, path) is RecipeWords.NoCacheFormat ? null : Schemes.FindKeyValues(Text(value, path))
                        ?? throw Bad(value, path, $"kv '{Text(value, path)}' is unknown; {Suggestion.For(Text(value, path), RecipeWords.KeyValueNames)}");
                    break;
                case "rules" when value is YamlSequenceNode list:
                    rules.AddRange(list.Children.SelectMany(item => ParseRule(item, settings, path)));
                    break;
                case var other:
                    throw Bad(key, path, $"'{other}' is not expected here; {Suggestion.For(other, AlgorithmSettings.Known.Select(setting => setting.Name).Concat(["kv", "rules"]))}");
            }
        try
        {
            return settings.On(new Recipe(rules, KeyValues: keyValues));
        }
        catch (UsageException error)
        {
            throw new UsageException($"{path}: {error.Message.TrimStart('-')}");
        }
    }

    static IEnumerable<Rule> ParseRule(YamlNode node, AlgorithmSettings settings, string path)
    {
        if (node is not YamlMappingNode mapping)
            throw Bad(node, path, "a rule is a mapping like {modules: '*', format: nvfp4}.");
        string modules = "*", scope = "all";
        string? format = null;
        foreach (var (key, value) in mapping.Children)
            switch (Text(key, path))
            {
                case "modules": modules = Text(value, path); break;
                case "scope": scope = Text(value, path); break;
                case "format": format = Text(value, path); break;
                case var other: throw Bad(key, path, $"'{other}' is not expected here; {Suggestion.For(other, ["modules", "scope", "format"])}");
            }
        var scheme = format switch
        {
            null => throw Bad(node, path, "a rule needs a format (or 'skip')."),
            "skip" => null,
            _ => RecipeWords.FindScheme(format, settings, problem => Bad(node, path, $"format '{format}': {problem}")),
        };
        var glob = new Glob(modules);
        var parts = mapping.Children.FirstOrDefault(child => child.Key is YamlScalarNode { Value: "scope" }).Value is { } named && scope != "all"
            ? At(named, path, RecipeWords.ParseScope).Select(part => (Scope?)part) : [null];
        var rules = parts.Select(part => new Rule(glob, scheme, part));
        return modules == "*" ? rules.Concat(Skipped()) : rules; // only a rule that names the head takes it in
    }

    static IEnumerable<Rule> Skipped() => Recipe.NeverByDefault.Select(pattern => new Rule(new Glob(pattern), null));

    /// <summary>Reads a value as the option of the same name does, and says where it was wrong.</summary>
    static T At<T>(YamlNode node, string path, Func<string, T> parse)
    {
        try
        {
            return parse(Text(node, path));
        }
        catch (UsageException error)
        {
            throw Bad(node, path, error.Message.TrimStart('-'));
        }
    }

    static string Text(YamlNode node, string path) => node is YamlScalarNode { Value: { } text } ? text
        : throw Bad(node, path, "a plain value expected.");

    static UsageException Bad(YamlNode node, string path, string problem) => new($"{path}, line {node.Start.Line}: {problem}");
}
