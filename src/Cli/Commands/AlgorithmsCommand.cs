using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Commands;

/// <summary>One algorithm as <c>nibble algorithms --json</c> prints it.</summary>
sealed record AlgorithmView(string Name, string Description, string Source, string Cost, string WhenToUse, bool NeedsData);

/// <summary>The result of <c>nibble algorithms --json</c>.</summary>
sealed record AlgorithmsView(IReadOnlyList<AlgorithmView> Algorithms);

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
                    entry.Name, entry.Description, entry.Source, entry.Cost, entry.WhenToUse, entry.NeedsData))]), AlgorithmsJson.Default.AlgorithmsView);
            else
                foreach (var entry in Algorithms.All)
                    Show(terminal, entry);
            return ExitCode.Ok;
        });
        return command;
    }

    static void Show(Terminal terminal, AlgorithmEntry entry)
    {
        terminal.Line($"{entry.Name,-13}{entry.Description}");
        terminal.Line($"{"",-13}for   {entry.WhenToUse}");
        terminal.Line($"{"",-13}cost  {entry.Cost}{(entry.NeedsData ? "; needs calibration data" : "")}");
        terminal.Line($"{"",-13}from  {entry.Source}");
        terminal.Line();
    }
}
