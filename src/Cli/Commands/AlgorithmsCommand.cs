using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Commands;

/// <summary>One algorithm as <c>nibble algorithms --json</c> prints it.</summary>
sealed record AlgorithmView(string Name, string Description, string Source, string Cost, string WhenToUse, bool NeedsData);

/// <summary>The result of <c>nibble algorithms --json</c>.</summary>
sealed record AlgorithmsView(IReadOnlyList<AlgorithmView> Algorithms, IReadOnlyList<RotationView> Rotations);

/// <summary>One rotation, which goes with any of them.</summary>
sealed record RotationView(string Name, string Description, string Source, string Cost, string WhenToUse);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(AlgorithmsView))]
sealed partial class AlgorithmsJson : JsonSerializerContext;

/// <summary><c>nibble algorithms</c>: how the numbers of a format can be chosen.</summary>
static class AlgorithmsCommand
{
    public static Command Create(Terminal terminal)
    {
        var json = CommonOptions.Json();
        var command = new Command("algorithms", "List the algorithms: what each does, where it is from, what it costs, when to use it.") { json };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(json))
                terminal.Json(new AlgorithmsView([.. Algorithms.All.Select(entry => new AlgorithmView(
                    entry.Name, entry.Description, entry.Source, entry.Cost, entry.WhenToUse, entry.NeedsData))],
                    [.. Rotations.All.Select(entry => new RotationView(
                        entry.Name, entry.Description, entry.Source, entry.Cost, entry.WhenToUse))]), AlgorithmsJson.Default.AlgorithmsView);
            else
                ShowAll(terminal);
            return ExitCode.Ok;
        });
        return command;
    }

    static void ShowAll(Terminal terminal)
    {
        foreach (var entry in Algorithms.All)
            Show(terminal, entry.Name, entry.Description, entry.WhenToUse, entry.Cost + (entry.NeedsData ? "; needs calibration data" : ""), entry.Source);
        terminal.Line("with any of them, --rotation:");
        terminal.Line();
        foreach (var entry in Rotations.All)
            Show(terminal, entry.Name, entry.Description, entry.WhenToUse, entry.Cost, entry.Source);
    }

    static void Show(Terminal terminal, string name, string description, string whenToUse, string cost, string source)
    {
        terminal.Line($"{name,-13}{description}");
        terminal.Line($"{"",-13}for   {whenToUse}");
        terminal.Line($"{"",-13}cost  {cost}");
        terminal.Line($"{"",-13}from  {source}");
        terminal.Line();
    }
}
