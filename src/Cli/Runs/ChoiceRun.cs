using Nibble.Cli.Output;
using Nibble.Export.Verification;
using Nibble.Models;
using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Quant.Search;

namespace Nibble.Cli.Runs;

/// <summary>What is searched.</summary>
/// <param name="KeyValues">Format of the cache, which the search leaves alone.</param>
sealed record ChoiceRequest(
    IReadOnlyList<Scheme> Schemes, IReadOnlyList<Scope> Scopes, IReadOnlyList<string> Exclude, SearchMethod Method,
    SizeLimit Limit, KeyValueFormat? KeyValues);

/// <summary>What was found.</summary>
/// <param name="Reused">Where the scores come from; null where they were measured now.</param>
sealed record Choice(
    SearchSpace Space, Sensitivities Scores, Allocation Allocation, Selection Selection, Recipe Recipe, TradeOff TradeOff, string? Reused);

/// <summary>Measures what every format does to every group of modules, or reads it from a file, and chooses.</summary>
sealed class ChoiceRun(ModelFolder model, ChoiceRequest request, RunOptions options)
{
    /// <summary>The file of scores in the folder of a checkpoint.</summary>
    public const string ScoresName = "sensitivities.json";

    const long LargestScores = 256 << 20;

    /// <param name="from">A file of scores instead of running the model; or null.</param>
    /// <param name="to">Where measured scores are written at once, and where those of an earlier run of the same search are found; or null.</param>
    public Choice Execute(string? from, string? to, string spill, ProgressDisplay display, CancellationToken cancellation)
    {
        CheckRequest();
        var space = SearchSpace.Create(model.Network, model.Source, request.Schemes, request.Scopes, request.Exclude);
        if (Unmeasured(space).Obstacle() is { } obstacle) // before anything is run
            throw new CannotFitException(obstacle);

        var (scores, reused) = from is not null ? (Read(from), from) : Measure(space, to, spill, display, cancellation);
        var allocation = new Allocation(space, scores.Groups, request.Limit);
        var selection = allocation.Solve();
        TradeOffPoint Point(Selection point) => new(allocation.EffectiveBits(point), allocation.Bytes(point), point.Score);
        return new Choice(space, scores, allocation, selection, allocation.Recipe(selection) with { KeyValues = request.KeyValues, Rotation = model.Rotation },
            new TradeOff(scores.Method, Point(selection), selection.LowerBound, [.. allocation.Front().Select(Point)]), reused);
    }

    public static string MethodName(SearchMethod method) => method == SearchMethod.Gradient ? "gradient" : "kl";

    /// <summary>The same costs without scores.</summary>
    Allocation Unmeasured(SearchSpace space) => new(space, [.. space.Groups.Select(group => new GroupScores(group.Name, "",
        [.. group.Modules.Select(module => module.Name)], group.Schemes.ToDictionary(scheme => scheme.Name, _ => 0.0)))], request.Limit);

    void CheckRequest()
    {
        model.Plan(Recipe.Uniform(request.Schemes[0], request.Scopes, request.Exclude) with { Rotation = model.Rotation }, out _);
        if (options.Target.Asked && CheckpointVerifier.Refusals(options.Target.Target, request.Schemes, request.KeyValues) is [var refusal, ..])
            throw new QuantizationException($"--target {options.Target.Name} would not load this: {refusal}.");
    }

    Sensitivities Read(string path)
    {
        if (!File.Exists(path))
            throw new UsageException($"--from-scores {path}: no such file.");
        var scores = Load(path);
        return scores.Model == Fingerprint.OfModel(model) ? scores
            : throw new QuantizationException($"{path}: the scores were taken of another model than {model.Path}, or with another --rotation.");
    }

    (Sensitivities Scores, string? Reused) Measure(SearchSpace space, string? to, string spill, ProgressDisplay display, CancellationToken cancellation)
    {
        var data = CalibrationFiles.Open(model, options);
        var (hash, method) = (Fingerprint.OfModel(model), MethodName(request.Method));
        if (to is not null && File.Exists(to) && Earlier(to) is { } earlier
            && (earlier.Model, earlier.Data, earlier.Method) == (hash, data.Fingerprint, method) && Covers(earlier, space))
            return (earlier, to);
        var (groups, tokens) = SensitivitySearch.Run(model.Network, model.Source, space, data.Samples, request.Method,
            new SearchOptions(options.ActivationBudget, spill),
            new Direct<SearchProgress>(progress => display.Show(progress.Phase, progress.Stage, progress.Done)), cancellation);
        var scores = new Sensitivities($"nibble {Product.Version}", method, hash, data.Fingerprint, data.Samples.Count, tokens, groups);
        if (to is not null)
            Write(to, scores);
        return (scores, null);
    }

    /// <summary>What is there may be of an older version or half of something else: then it is measured again.</summary>
    static Sensitivities? Earlier(string path)
    {
        try
        {
            return Load(path);
        }
        catch (QuantizationException)
        {
            return null;
        }
    }

    static bool Covers(Sensitivities scores, SearchSpace space) => space.Groups.All(group => group.Schemes.Count == 0
        || scores.Groups.FirstOrDefault(known => known.Name == group.Name) is { } found
            && group.Schemes.All(scheme => found.Scores.ContainsKey(scheme.Name)));

    static Sensitivities Load(string path) => new FileInfo(path).Length <= LargestScores
        ? Sensitivities.Parse(File.ReadAllBytes(path), path)
        : throw new QuantizationException($"{path}: {new FileInfo(path).Length} bytes; at most {LargestScores} expected.");

    static void Write(string path, Sensitivities scores)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        File.WriteAllBytes(path + ".partial", scores.ToJson());
        File.Move(path + ".partial", path, overwrite: true);
    }
}
