using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Recipes;

/// <summary>What statistics are called on the command line.</summary>
static class StatisticWords
{
    /// <summary>The channels of a block whose moments the formats with blocks of 16 need.</summary>
    const int Block = 16;

    static readonly Dictionary<string, StatisticNeeds> Known = new()
    {
        ["amax"] = StatisticNeeds.None,
        ["channels"] = new(Channels: true),
        ["histogram"] = new(Histogram: true),
        ["headroom"] = new(Headroom: true),
        ["blocks"] = new(MomentBlock: Block),
        ["awq"] = new(Awq: true),
        ["moments"] = new(Moments: true),
        ["rows"] = new(Rows: true),
    };

    /// <summary>What small statistics can do: every range, and SmoothQuant. Nothing quadratic in the width.</summary>
    public static StatisticNeeds Usual { get; } = new(Channels: true, Histogram: true, Headroom: true);

    public static IEnumerable<string> Names => Known.Keys;

    /// <summary>Names separated by commas.</summary>
    public static StatisticNeeds Parse(IEnumerable<string> words) => words
        .SelectMany(word => word.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        .Select(name => Known.GetValueOrDefault(name) ?? throw new UsageException($"--statistics {name}: unknown; {Suggestion.For(name, Names)}"))
        .Aggregate(StatisticNeeds.None, (a, b) => a | b);

    /// <summary>A recipe of what <c>--for</c> names: a format, or a format and an algorithm or a range, like <c>int4:awq</c>.</summary>
    public static Recipe Parse(string wanted)
    {
        var parts = wanted.Split(':', 2, StringSplitOptions.TrimEntries);
        var settings = new AlgorithmSettings();
        var scheme = RecipeWords.FindScheme(parts[0], settings, problem => new UsageException($"--for {wanted}: {problem}"));
        if (parts.Length > 1 && Algorithms.Find(parts[1]) is null && ActivationRange.Parse(parts[1]) is null)
            throw new UsageException($"--for {wanted}: {Suggestion.For(parts[1], RecipeWords.AlgorithmNames.Concat(ActivationRange.Words).Distinct())}");
        if (parts.Length > 1)
            settings.Set(Algorithms.Find(parts[1]) is null ? "range" : "algorithm", parts[1]);
        return settings.On(Recipe.Uniform(scheme, RecipeWords.ParseScope("all"), []));
    }

    /// <summary>Without the moments of blocks that the width is no multiple of.</summary>
    public static StatisticNeeds Fitting(StatisticNeeds needs, int width) =>
        needs.MomentBlock > 0 && width % needs.MomentBlock != 0 ? needs with { MomentBlock = 0, SampledTokens = 0 } : needs;
}
