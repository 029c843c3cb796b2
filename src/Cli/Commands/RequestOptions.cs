using System.CommandLine;
using Nibble.Cli.Output;
using Nibble.Cli.Recipes;
using Nibble.Cli.Runs;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Commands;

/// <summary>The options that say what to quantize and how: the same for <c>plan</c> and <c>quantize</c>.</summary>
sealed class RequestOptions
{
    readonly Option<string?> format = CommonOptions.Format();
    readonly Option<string?> keyValues = CommonOptions.KeyValues();
    readonly Option<string[]> scope = CommonOptions.Scope();
    readonly Option<string[]> exclude = CommonOptions.Exclude();
    readonly IReadOnlyList<Option<string?>> algorithm = CommonOptions.Algorithm();
    readonly Option<string?> recipe = CommonOptions.Recipe();
    readonly Option<string?> calibration = CommonOptions.Calibration();
    readonly Option<int?> samples = CommonOptions.Samples();
    readonly Option<string?> statistics = CommonOptions.Statistics();
    readonly Option<string?> target = CommonOptions.Target();

    readonly Option<string> budget = CommonOptions.Budget();

    readonly Option<string> shard = new("--max-shard-size")
    {
        Description = "Largest size of one safetensors file.",
        DefaultValueFactory = _ => "5GB",
    };

    public Argument<string> Model { get; } = CommonOptions.Model();

    public void AddTo(Command command)
    {
        command.Arguments.Add(Model);
        foreach (var option in (Option[])[format, keyValues, scope, exclude, .. algorithm, recipe, calibration, samples, statistics, target, budget, shard])
            command.Options.Add(option);
    }

    /// <summary>From the recipe file, or from the single options.</summary>
    public Recipe Recipe(ParseResult parsed)
    {
        if (parsed.GetValue(recipe) is not { } path)
            return CommonOptions.Uniform(parsed.GetValue(format), parsed.GetValue(keyValues), parsed.GetValue(scope) ?? [],
                parsed.GetValue(exclude) ?? [], Settings(parsed));
        foreach (var other in (Option[])[format, keyValues, scope, exclude, .. algorithm])
            if (parsed.GetResult(other) is { Implicit: false })
                throw new UsageException($"{other.Name} and --recipe exclude each other.");
        return RecipeFile.Read(path);
    }

    AlgorithmSettings Settings(ParseResult parsed)
    {
        var settings = new AlgorithmSettings();
        foreach (var (option, (name, _)) in algorithm.Zip(AlgorithmSettings.Known))
            if (parsed.GetValue(option) is { } value)
                settings.Set(name, value);
        return settings;
    }

    public RunOptions Run(ParseResult parsed)
    {
        var shardBytes = Units.ParseBytes(parsed.GetRequiredValue(shard), shard.Name);
        if (shardBytes == 0)
            throw new UsageException("--max-shard-size: more than nothing expected.");
        foreach (var other in (Option[])[calibration, samples])
            if (parsed.GetValue(statistics) is not null && parsed.GetResult(other) is { Implicit: false })
                throw new UsageException($"{other.Name} and --stats exclude each other.");
        return new RunOptions(parsed.GetValue(calibration), parsed.GetValue(samples), CommonOptions.ParseTarget(parsed.GetValue(target)),
            Units.ParseBytes(parsed.GetRequiredValue(budget), budget.Name), shardBytes)
        {
            Statistics = parsed.GetValue(statistics),
        };
    }

    /// <summary>
    /// The command that gives the same checkpoint again: the options that were given and shape the result, in a fixed order, folders and
    /// files by their names only.
    /// </summary>
    public string Describe(ParseResult parsed, string output)
    {
        var words = new List<string> { "nibble", "quantize", ModelCard.NameOf(parsed.GetRequiredValue(Model)) };
        foreach (var option in (Option[])[format, keyValues, scope, exclude, .. algorithm, recipe, calibration, samples, statistics, target, shard])
            if (parsed.GetResult(option) is { Implicit: false } given)
                words.AddRange(given.Tokens.Select(token => option == recipe || option == calibration || option == statistics ? ModelCard.NameOf(token.Value) : token.Value)
                    .Prepend(option.Name));
        return string.Join(' ', words.Append("--output").Append(ModelCard.NameOf(output)).Select(Shell));
    }

    /// <summary>A word as a shell takes it.</summary>
    public static string Shell(string word) => word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || "-_./:,+=@".Contains(c))
        ? word : $"'{word.Replace("'", @"'\''")}'";
}
