using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Recipes;

/// <summary>What formats, scopes and algorithms are called, on the command line and in recipe files alike.</summary>
static class RecipeWords
{
    /// <summary>What <c>--kv</c> is called for a cache that stays as it is.</summary>
    public const string NoCacheFormat = "none";

    /// <summary>Every name <c>--format</c> takes, aliases left out.</summary>
    public static IEnumerable<string> SchemeNames => Schemes.All.Select(entry => entry.Scheme.Name);

    /// <summary>The same and the names that choose an algorithm too.</summary>
    static IEnumerable<string> FormatNames => SchemeNames.Concat(FormatPresets.All.Select(preset => preset.Name));

    /// <summary>Every name <c>--kv</c> takes.</summary>
    public static IEnumerable<string> KeyValueNames => Schemes.KeyValueNames.Prepend(NoCacheFormat);

    /// <summary>A scheme that checkpoints can be written in.</summary>
    /// <param name="settings">Takes the algorithm where the name stands for one too.</param>
    /// <param name="bad">Makes the error from what is wrong with the name.</param>
    public static Scheme FindScheme(string name, AlgorithmSettings settings, Func<string, UsageException> bad)
    {
        if (Schemes.Find(name) is null && FormatPresets.Find(name) is { } preset)
        {
            settings.Take(preset);
            return FormatPresets.SchemeOf(preset);
        }
        return FindScheme(name, bad);
    }

    /// <summary>The same where no algorithm can be chosen by the name.</summary>
    public static Scheme FindScheme(string name, Func<string, UsageException> bad)
    {
        var scheme = Schemes.Find(name) ?? throw bad($"unknown; {Suggestion.For(name, FormatNames)}");
        return Schemes.EvaluationOnly.Any(entry => entry.Scheme == scheme)
            ? throw bad($"for measuring only, no checkpoint layout stores it; known: {string.Join(", ", SchemeNames)}.") : scheme;
    }

    /// <summary>Every name <c>--algorithm</c> takes.</summary>
    public static IEnumerable<string> AlgorithmNames => Algorithms.All.Select(entry => entry.Name);

    public static Algorithm ParseAlgorithm(string name) => Algorithms.Find(name)?.Algorithm
        ?? throw new UsageException($"--algorithm {name}: unknown; {Suggestion.For(name, AlgorithmNames)}");

    public static ActivationRange ParseRange(string text) => ActivationRange.Parse(text)
        ?? throw new UsageException($"--range {text}: unknown; " + (text.StartsWith("percentile", StringComparison.OrdinalIgnoreCase)
            ? "percentile:99.99, above 0 and at most 100, expected." : Suggestion.For(text, ActivationRange.Words)));

    public static IEnumerable<Scope> ParseScope(string name) => name switch
    {
        "language" => [Models.Scope.Language],
        "projector" => [Models.Scope.Projector],
        "vision" => [Models.Scope.Vision],
        "all" => Enum.GetValues<Scope>(),
        _ => throw new UsageException($"--scope {name}: unknown; {Suggestion.For(name, ["language", "projector", "vision", "all"])}"),
    };
}
