using System.CommandLine;
using System.Globalization;
using Nibble.Cli.Output;
using Nibble.Cli.Recipes;
using Nibble.Cli.Runs;
using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Search;

namespace Nibble.Cli.Commands;

/// <summary>The options of <c>auto</c>.</summary>
sealed class AutoOptions
{
    readonly Option<string[]> formats = new("--formats")
    {
        Description = "Candidates, like nvfp4,fp8; leaving a module as it is (skip) always is one.",
        AllowMultipleArgumentsPerToken = true,
        Required = true,
    };

    readonly Option<double?> bits = new("--effective-bits")
    {
        Description = "Mean bits of the linear modules of the scopes, like 4.8; those left as they are count 16.",
    };

    readonly Option<string?> size = new("--target-size") { Description = "Size of the weight files, like 6GiB." };

    readonly Option<string[]> scopeBits = new("--scope-bits")
    {
        Description = "Mean bits a scope may have by itself, like vision=8.",
        AllowMultipleArgumentsPerToken = true,
    };

    readonly Option<string> method = new("--method")
    {
        Description = "gradient: change of the loss along its slope; kl: divergence of the predictions, slower.",
        DefaultValueFactory = _ => "gradient",
    };

    readonly Option<string?> keyValues = CommonOptions.KeyValues();
    readonly Option<string[]> scope = CommonOptions.Scope();
    readonly Option<string[]> exclude = CommonOptions.Exclude();
    readonly Option<string?> rotation = CommonOptions.Rotation();
    readonly Option<string?> calibration = CommonOptions.Calibration();
    readonly Option<int?> samples = CommonOptions.Samples();
    readonly Option<string?> target = CommonOptions.Target();

    readonly Option<string> budget = new("--activation-budget")
    {
        Description = "Memory for hidden states; more waits on disk.",
        DefaultValueFactory = _ => "2GiB",
    };

    readonly Option<string> shard = new("--max-shard-size")
    {
        Description = "Largest size of one safetensors file.",
        DefaultValueFactory = _ => "5GB",
    };

    public Argument<string> Model { get; } = CommonOptions.Model();

    public void AddTo(Command command)
    {
        command.Arguments.Add(Model);
        foreach (var option in (Option[])[formats, bits, size, scopeBits, method, keyValues, scope, exclude, rotation, calibration, samples, target, budget, shard])
            command.Options.Add(option);
    }

    public ChoiceRequest Request(ParseResult parsed)
    {
        var cache = parsed.GetValue(keyValues) is not { } name || name == RecipeWords.NoCacheFormat ? null : Schemes.FindKeyValues(name)
            ?? throw new UsageException($"--kv {name}: unknown; {Suggestion.For(name, RecipeWords.KeyValueNames)}");
        List<Scope> scopes = parsed.GetValue(scope) is { Length: > 0 } named
            ? [.. named.SelectMany(RecipeWords.ParseScope).Distinct()] : [Models.Scope.Language];
        var schemes = Candidates(parsed.GetRequiredValue(formats));
        return new ChoiceRequest(schemes, scopes, parsed.GetValue(exclude) ?? [], parsed.GetRequiredValue(method) switch
        {
            "gradient" => SearchMethod.Gradient,
            "kl" => SearchMethod.Divergence,
            var other => throw new UsageException($"--method {other}: unknown; {Suggestion.For(other, ["gradient", "kl"])}"),
        }, Limit(parsed, scopes), cache);
    }

    public Rotation Rotation(ParseResult parsed) =>
        parsed.GetValue(rotation) is { } name ? AlgorithmSettings.ParseRotation(name) : Quant.Planning.Rotation.None;

    public RunOptions Run(ParseResult parsed)
    {
        var shardBytes = Units.ParseBytes(parsed.GetRequiredValue(shard), shard.Name);
        if (shardBytes == 0)
            throw new UsageException("--max-shard-size: more than nothing expected.");
        return new RunOptions(parsed.GetValue(calibration), parsed.GetValue(samples), CommonOptions.ParseTarget(parsed.GetValue(target)),
            Units.ParseBytes(parsed.GetRequiredValue(budget), budget.Name), shardBytes);
    }

    /// <summary>The command that gives the same checkpoint again, folders and files by their names only.</summary>
    public string Describe(ParseResult parsed, string output)
    {
        var words = new List<string> { "nibble", "auto", ModelCard.NameOf(parsed.GetRequiredValue(Model)) };
        foreach (var option in (Option[])[formats, bits, size, scopeBits, method, keyValues, scope, exclude, rotation, calibration, samples, target, shard])
            if (parsed.GetResult(option) is { Implicit: false } given)
                words.AddRange(given.Tokens.Select(token => option == calibration ? ModelCard.NameOf(token.Value) : token.Value).Prepend(option.Name));
        return string.Join(' ', words.Append("--output").Append(ModelCard.NameOf(output)).Select(RequestOptions.Shell));
    }

    static List<Scheme> Candidates(string[] names)
    {
        var schemes = names.SelectMany(name => name.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            .Where(name => name is not (Allocation.Skip or "none"))
            .Select(Candidate).Distinct().ToList();
        return schemes.Count > 0 ? schemes : throw new UsageException("--formats: at least one format expected beside skip; `nibble formats` lists them.");
    }

    static Scheme Candidate(string name) => Schemes.Find(name) is null && FormatPresets.Find(name) is { } preset
        ? throw new UsageException($"--formats {name}: chooses an algorithm too; candidates are formats, so {preset.Scheme} expected " +
            "(--recipe-out and `nibble quantize --recipe` take the choice to another algorithm).")
        : RecipeWords.FindScheme(name, problem => new UsageException($"--formats {name}: {problem}"));

    SizeLimit Limit(ParseResult parsed, List<Scope> scopes)
    {
        var (mean, bytes) = (parsed.GetValue(bits), parsed.GetValue(size));
        if (mean is null == bytes is null)
            throw new UsageException("Either --effective-bits or --target-size is needed to know how small the result has to be.");
        if (mean is { } number && !(number > 0 && number <= 16))
            throw new UsageException($"--effective-bits {number}: more than 0 and at most 16 expected.");
        var parts = new Dictionary<Scope, double>();
        foreach (var text in parsed.GetValue(scopeBits) ?? [])
        {
            if (text.Split('=') is not [var name, var value] || !double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var most)
                || !(most > 0 && most <= 16))
                throw new UsageException($"--scope-bits {text}: something like vision=8 expected.");
            foreach (var part in RecipeWords.ParseScope(name))
                parts[part] = scopes.Contains(part) ? most
                    : throw new UsageException($"--scope-bits {text}: {name} is not searched; add it to --scope.");
        }
        return new SizeLimit(mean, bytes is null ? null : Units.ParseBytes(bytes, size.Name), parts);
    }
}
