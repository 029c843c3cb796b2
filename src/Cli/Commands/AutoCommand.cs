using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Cli.Recipes;
using Nibble.Cli.Runs;
using Nibble.Export;
using Nibble.Quant.Reports;
using Nibble.Quant.Search;

namespace Nibble.Cli.Commands;

/// <summary>What one group of modules becomes.</summary>
sealed record ChosenGroup(string Name, string Scope, IReadOnlyList<string> Modules, string Format, double Score);

/// <summary>The line of <c>auto --json</c> that says what was chosen.</summary>
sealed record ChosenEvent(
    string Event, string Method, double EffectiveBits, long Bytes, double Score, double LowerBound, IReadOnlyList<ChosenGroup> Groups,
    IReadOnlyList<TradeOffPoint> Front);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ChosenEvent))]
sealed partial class AutoJson : JsonSerializerContext;

/// <summary><c>nibble auto</c>: formats chosen module by module, then the main job.</summary>
static class AutoCommand
{
    /// <summary>Rows of the trade-off that are printed.</summary>
    const int MostRows = 9;

    public static Command Create(Terminal terminal, CancellationToken cancellation)
    {
        var options = new AutoOptions();
        var output = new Option<string?>("--output", "-o") { Description = "Folder to write." };
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace what the output folder holds, or start an interrupted run anew." };
        var planOnly = new Option<bool>("--plan-only") { Description = "Choose, and write no checkpoint." };
        var scores = new Option<string?>("--scores") { Description = "Write the scores to this JSON file too, as soon as they are known." };
        var fromScores = new Option<string?>("--from-scores") { Description = "Choose by the scores of such a file; no sample is run for it." };
        var recipeOut = new Option<string?>("--recipe-out") { Description = "Write the choice as a recipe for `nibble quantize`." };
        var json = CommonOptions.Json();
        var command = new Command("auto", "Choose a format for every module so that a size is kept with the least damage, and quantize.")
            { output, overwrite, planOnly, scores, fromScores, recipeOut, json };
        options.AddTo(command);
        command.SetAction(parsed =>
        {
            var folder = parsed.GetValue(planOnly) ? null : parsed.GetValue(output)
                ?? throw new UsageException("--output is missing; or choose only, with --plan-only.");
            if (parsed.GetValue(scores) is not null && parsed.GetValue(fromScores) is not null)
                throw new UsageException("--scores and --from-scores exclude each other: nothing is measured with the second.");
            var (request, run) = (options.Request(parsed), options.Run(parsed));
            using var model = ModelFolder.Open(parsed.GetRequiredValue(options.Model), options.Rotation(parsed));
            if (folder is not null)
                OutputFolder.Check(folder, model.Path, parsed.GetValue(overwrite));

            var beside = folder is null ? null : Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)) + "." + ChoiceRun.ScoresName;
            var choice = Choose(new ChoiceRun(model, request, run), parsed.GetValue(fromScores), parsed.GetValue(scores) ?? beside,
                new ProgressDisplay(terminal, parsed.GetValue(json)), cancellation);
            var described = options.Describe(parsed, folder ?? "out");
            if (parsed.GetValue(recipeOut) is { } recipe)
                File.WriteAllText(recipe, RecipeText.Write(choice.Recipe, described));
            if (parsed.GetValue(json))
                terminal.Json(Event(choice), AutoJson.Default.ChosenEvent);
            else
                Show(terminal, choice);
            if (folder is null)
                return ExitCode.Ok;

            var quantize = new QuantizeRun(model, choice.Recipe, run, folder, parsed.GetValue(overwrite), described)
            {
                Search = choice.TradeOff,
                Extra = [SideFile.Of(ChoiceRun.ScoresName, choice.Scores.ToJson())],
            };
            var code = QuantizeCommand.Carry(terminal, quantize, parsed.GetValue(json), cancellation);
            if (beside is not null && File.Exists(beside))
                File.Delete(beside); // the checkpoint has it
            return code;
        });
        return command;
    }

    static Choice Choose(ChoiceRun run, string? from, string? to, ProgressDisplay display, CancellationToken cancellation)
    {
        try
        {
            var place = to is null ? Path.GetTempPath() : Path.GetDirectoryName(Path.GetFullPath(to))!;
            var spill = Path.Combine(place, $".nibble-search-{Environment.ProcessId}");
            return run.Execute(from, to, spill, display, cancellation);
        }
        finally
        {
            display.End();
        }
    }

    static void Show(Terminal terminal, Choice choice)
    {
        var chosen = choice.TradeOff.Chosen;
        if (choice.Reused is { } path)
            terminal.Note($"The scores of {path} are used.");
        foreach (var scheme in choice.Allocation.Schemes(choice.Selection).GroupBy(entry => entry.Scheme?.Name ?? "left as it is"))
            terminal.Line($"{scheme.Key,-12} {scheme.Sum(entry => entry.Group.Modules.Count)} modules: {Names(scheme.Select(entry => entry.Group.Name))}");
        terminal.Line($"bits         {Units.Number(chosen.EffectiveBits)} effective");
        terminal.Line($"size         {Units.Bytes(chosen.Bytes)} at most");
        terminal.Line($"damage       {Units.Number(chosen.Score)} ({choice.TradeOff.Method} score, {choice.Scores.Samples} samples), " +
            (choice.Selection.Gap == 0 ? "proven to be the least within the limit" : $"at most {Units.Number(choice.Selection.Gap)} above the least"));
        terminal.Line();
        terminal.Table(["bits", "size", "damage"], Thinned(choice.TradeOff.Front).Select(point => (string[])
            [Units.Number(point.EffectiveBits), Units.Bytes(point.Bytes), Units.Number(point.Score)]));
        terminal.Line();
    }

    static string Names(IEnumerable<string> groups)
    {
        const int most = 6;
        var names = groups.ToList();
        return string.Join(", ", names.Take(most)) + (names.Count > most ? ", …" : "");
    }

    static IEnumerable<TradeOffPoint> Thinned(IReadOnlyList<TradeOffPoint> front) => front.Count <= MostRows ? front
        : Enumerable.Range(0, MostRows).Select(i => front[i * (front.Count - 1) / (MostRows - 1)]);

    static ChosenEvent Event(Choice choice) => new("chosen", choice.TradeOff.Method, choice.TradeOff.Chosen.EffectiveBits, choice.TradeOff.Chosen.Bytes,
        choice.Selection.Score, choice.Selection.LowerBound,
        [.. choice.Space.Groups.Select((group, i) => Chosen(group, choice.Allocation.Groups[i].Candidates[choice.Selection.Choices[i]]))],
        choice.TradeOff.Front);

    static ChosenGroup Chosen(SearchGroup group, Candidate candidate) => new(
        group.Name, SearchSpace.Part(group.Scope), [.. group.Modules.Select(module => module.Name)], candidate.Name, candidate.Score);
}
