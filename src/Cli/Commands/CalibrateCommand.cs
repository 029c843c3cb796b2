using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Cli.Recipes;
using Nibble.Cli.Runs;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Commands;

/// <summary>The last line of the JSON stream of <c>calibrate</c>.</summary>
sealed record CalibratedEvent(
    string Event, string Output, long Bytes, long Samples, long TextTokens, long VisionTokens, double Seconds, IReadOnlyList<string> Unseen);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CalibratedEvent))]
sealed partial class CalibrateJson : JsonSerializerContext;

/// <summary><c>nibble calibrate</c>: run the data once, quantize as often as wanted.</summary>
static class CalibrateCommand
{
    public static Command Create(Terminal terminal, CancellationToken cancellation)
    {
        var model = CommonOptions.Model();
        var output = new Option<string>("--output", "-o") { Description = "File to write, like stats.safetensors.", Required = true };
        var wanted = new Option<string[]>("--for")
        {
            Description = "Gather what these need: formats, also with an algorithm or a range, like nvfp4,int4:awq,fp8:percentile.",
            AllowMultipleArgumentsPerToken = true,
        };
        var statistics = new Option<string[]>("--statistics")
        {
            Description = $"Gather these: {string.Join(", ", StatisticWords.Names)}. Default: channels, histogram, headroom.",
            AllowMultipleArgumentsPerToken = true,
        };
        var recipe = new Option<string?>("--recipe") { Description = "Gather what this YAML recipe needs." };
        var rotation = CommonOptions.Rotation();
        var calibration = CommonOptions.Calibration();
        var samples = CommonOptions.Samples();
        var budget = CommonOptions.Budget();
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace the output file, or start an interrupted calibration anew." };
        var json = CommonOptions.Json();
        var command = new Command("calibrate", "Run data through a model once, for --stats of `plan` and `quantize`. An interrupted run is continued by the same command.")
        {
            model, output, wanted, statistics, recipe, rotation, calibration, samples, budget, overwrite, json,
        };
        command.SetAction(parsed =>
        {
            var named = StatisticWords.Parse(parsed.GetValue(statistics) ?? []);
            var recipes = (parsed.GetValue(wanted) ?? []).SelectMany(word => word.Split(',', StringSplitOptions.RemoveEmptyEntries))
                .Select(StatisticWords.Parse).ToList();
            if (parsed.GetValue(recipe) is { } file)
                recipes.Add(RecipeFile.Read(file));
            using var folder = ModelFolder.Open(parsed.GetRequiredValue(model), Rotation(parsed.GetValue(rotation), recipes));
            if (recipes.Count == 0 && parsed.GetResult(statistics) is null or { Implicit: true })
                named = StatisticWords.Usual;
            var display = new ProgressDisplay(terminal, parsed.GetValue(json));
            var run = new CalibrateRun(folder,
                new RunOptions(parsed.GetValue(calibration), parsed.GetValue(samples), CommonOptions.ParseTarget(null),
                    Units.ParseBytes(parsed.GetRequiredValue(budget), budget.Name), 0),
                new CalibrateRequest(Needs(folder, named, recipes), parsed.GetRequiredValue(output), parsed.GetValue(overwrite)));
            if (!parsed.GetValue(json))
                terminal.Note($"The statistics take about {Units.Bytes(run.Sizes().Disk)} for each of text and vision.");
            CalibrateResult result;
            try
            {
                result = run.Execute(display, cancellation);
            }
            finally
            {
                display.End();
            }
            if (parsed.GetValue(json))
                terminal.Json(new CalibratedEvent("done", result.Output, result.Bytes, result.Info.Samples, result.Info.TextTokens,
                    result.Info.VisionTokens, result.Seconds, result.Unseen), CalibrateJson.Default.CalibratedEvent);
            else
                Show(terminal, folder, result);
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>That of the option, else of the recipe file; the model has one.</summary>
    static Rotation Rotation(string? option, List<Recipe> recipes)
    {
        var rotations = recipes.Select(recipe => recipe.Rotation).Where(rotation => rotation != Quant.Planning.Rotation.None)
            .Concat(option is null ? [] : (Rotation[])[AlgorithmSettings.ParseRotation(option)]).Distinct().ToList();
        return rotations.Count <= 1 ? rotations.FirstOrDefault()
            : throw new UsageException($"--rotation {option} contradicts the recipe, which has {Words.Of(rotations[0])}.");
    }

    /// <summary>What was named, and what every recipe needs of a module it quantizes. Rows are kept of all modules or of none.</summary>
    static Func<string, int, StatisticNeeds> Needs(ModelFolder model, StatisticNeeds named, List<Recipe> recipes)
    {
        var plans = recipes.Select(recipe => model.Plan(recipe with { Rotation = model.Rotation }, out _)).ToList();
        if (plans.Select(plan => RequiredStatistics.Refuse(plan.Recipe, plan.SeesRoundedInputs)).FirstOrDefault(reason => reason is not null) is { } refusal)
            throw new UsageException(refusal);
        var needs = plans.SelectMany(plan => plan.Quantized
            .Select(module => (module.Name, Needs: RequiredStatistics.Of(plan.Recipe, module)))).ToLookup(entry => entry.Name, entry => entry.Needs);
        var rows = named.Rows || needs.Any(module => module.Any(need => need.Rows));
        return (module, width) => StatisticWords.Fitting(needs[module].Aggregate(named, (a, b) => a | b), width) with { Rows = rows };
    }

    static void Show(Terminal terminal, ModelFolder model, CalibrateResult result)
    {
        terminal.Line($"wrote        {result.Output}, {Units.Bytes(result.Bytes)}");
        terminal.Line($"calibrated   {result.Info.Samples} samples: {result.Info.TextTokens} text and {result.Info.VisionTokens} vision tokens");
        terminal.Line($"took         {Units.Time(TimeSpan.FromSeconds(result.Seconds))}");
        if (QuantizeRun.UnseenWarning(result.Unseen) is { } warning)
            terminal.Warning(warning);
        terminal.Line();
        terminal.Line($"next         {Product.Call} quantize {model.Path} --format nvfp4 " +
            $"{(model.Rotation == Quant.Planning.Rotation.None ? "" : $"--rotation {Words.Of(model.Rotation)} ")}--stats {result.Output} -o out");
    }
}
