using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Cli.Runs;
using Nibble.Export.Safetensors;
using Nibble.Quant.Evaluation;

namespace Nibble.Cli.Commands;

/// <summary>The result of <c>nibble compare --json</c>.</summary>
sealed record CompareView(
    IReadOnlyList<ComparedOutput> Outputs, IReadOnlyList<string> NotComputed, double WorstAbs, double? Tolerance, bool? Passed);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals)]
[JsonSerializable(typeof(CompareView))]
sealed partial class CompareJson : JsonSerializerContext;

/// <summary><c>nibble compare</c>: this engine beside another framework.</summary>
static class CompareCommand
{
    public static Command Create(Terminal terminal)
    {
        var model = CommonOptions.Model();
        var inputs = new Option<string>("--inputs")
        {
            Description = "Safetensors with input_ids (and pixel_values, image_grid_thw) and recorded outputs.",
            Required = true,
        };
        var only = new Option<string?>("--case") { Description = "Only the case of this name: tensors <case>.input_ids, <case>.logits, …" };
        var tolerance = new Option<double?>("--tolerance") { Description = "Exit with 5 when a difference is larger." };
        var json = CommonOptions.Json();
        var command = new Command("compare", "Hold every recorded output of another framework beside ours.") { model, inputs, only, tolerance, json };
        command.SetAction(parsed =>
        {
            using var folder = ModelFolder.Open(parsed.GetRequiredValue(model));
            var path = parsed.GetRequiredValue(inputs);
            using var recording = SafetensorsFile.Open(path);
            var result = new ModelComparison(folder.Network, folder.Generator()).Run(recording, path, parsed.GetValue(only));
            var allowed = parsed.GetValue(tolerance);
            bool? passed = allowed is { } most ? result.WorstAbs <= most : null;
            if (parsed.GetValue(json))
                terminal.Json(new CompareView(result.Outputs, result.NotComputed, result.WorstAbs, allowed, passed), CompareJson.Default.CompareView);
            else
                Show(terminal, result, passed);
            return passed == false ? ExitCode.VerificationFailed : ExitCode.Ok;
        });
        return command;
    }

    static void Show(Terminal terminal, ComparisonResult result, bool? passed)
    {
        terminal.Table(["output", "values", "largest difference", "largest value", "equal"], result.Outputs.Select(output => (string[])
        [
            output.Name, output.Count.ToString(), Units.Number(output.MaxAbs), Units.Number(output.ReferenceMax), output.Equal ? "yes" : "no",
        ]));
        terminal.Line();
        terminal.Line($"worst difference {Units.Number(result.WorstAbs)}{(passed is { } ok ? ok ? ", within the tolerance" : ", beyond the tolerance" : "")}");
        if (result.NotComputed.Count > 0)
            terminal.Line($"not computed: {string.Join(", ", result.NotComputed)}");
    }
}
