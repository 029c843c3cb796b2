using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Cli.Runs;
using Nibble.Quant.Reports;

namespace Nibble.Cli.Commands;

/// <summary>The last line of the JSON stream of <c>quantize</c>.</summary>
sealed record QuantizedEvent(
    string Event, string Output, long BytesBefore, long BytesAfter, double Seconds, long PeakBytes, double? WeightError,
    double? TextError, double? VisionError, int Findings);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(QuantizedEvent))]
sealed partial class QuantizeJson : JsonSerializerContext;

/// <summary><c>nibble quantize</c>: the main job.</summary>
static class QuantizeCommand
{
    public static Command Create(Terminal terminal, CancellationToken cancellation)
    {
        var request = new RequestOptions();
        var output = new Option<string>("--output", "-o") { Description = "Folder to write.", Required = true };
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace what the output folder holds, or start an interrupted run anew." };
        var json = CommonOptions.Json();
        var command = new Command("quantize", "Quantize a checkpoint. An interrupted run is continued by the same command.") { output, overwrite, json };
        request.AddTo(command);
        command.SetAction(parsed =>
        {
            var recipe = request.Recipe(parsed);
            using var model = ModelFolder.Open(parsed.GetRequiredValue(request.Model), recipe.Rotation);
            return Carry(terminal, new QuantizeRun(model, recipe, request.Run(parsed), parsed.GetRequiredValue(output),
                parsed.GetValue(overwrite), request.Describe(parsed, parsed.GetRequiredValue(output))), parsed.GetValue(json), cancellation);
        });
        return command;
    }

    /// <summary>Carries a run out and shows what came of it.</summary>
    /// <returns>The exit code.</returns>
    public static int Carry(Terminal terminal, QuantizeRun run, bool json, CancellationToken cancellation)
    {
        var display = new ProgressDisplay(terminal, json);
        QuantizeResult result;
        try
        {
            result = run.Execute(display, cancellation);
        }
        finally
        {
            display.End();
        }
        if (json)
            terminal.Json(Event(result), QuantizeJson.Default.QuantizedEvent);
        else
            Show(terminal, result);
        return result.Verdict.Passed ? ExitCode.Ok : ExitCode.VerificationFailed;
    }

    static void Show(Terminal terminal, QuantizeResult result)
    {
        var report = result.Report;
        terminal.Line($"wrote        {result.Output}");
        terminal.Line($"quantized    {report.Modules.Count()} modules{Formats(report)}");
        terminal.Line($"size         {Units.Bytes(report.BytesBefore)} → {Units.Bytes(report.BytesAfter)}");
        if (report.Calibration is { } calibration)
            terminal.Line($"calibrated   {report.Samples} samples of {calibration}: {report.TextTokens} text and {report.VisionTokens} vision tokens");
        terminal.Line($"error        {Error("weights", report.Modules.Select(module => (double?)module.WeightError))}" +
            Error(", outputs on text", report.Modules.Select(module => module.TextError)) +
            Error(", on vision", report.Modules.Select(module => module.VisionError)) + "  (mean of ‖Δ‖²/‖·‖² per module)");
        terminal.Line($"took         {Units.Time(TimeSpan.FromSeconds(report.Seconds))}, peak memory {Units.Bytes(report.PeakBytes)}");
        foreach (var warning in report.Warnings)
            terminal.Warning(warning);
        if (!result.Verdict.Passed)
        {
            terminal.Error($"The checkpoint breaks rules of {result.Target}:");
            VerifyCommand.Show(terminal, result.Verdict.Findings);
        }
        terminal.Line($"report       {Path.Combine(result.Output, "report.html")}");
        terminal.Line();
        terminal.Line($"next         {Product.Call} eval {result.Output} --against {report.Model}");
    }

    static string Formats(RunReport report) => string.Concat(report.Modules.GroupBy(module => module.Scheme)
        .Select(group => $", {group.Count()} to {group.Key}"));

    static string Error(string name, IEnumerable<double?> errors)
    {
        var known = errors.OfType<double>().ToList();
        return known.Count == 0 ? "" : $"{name} {Units.Number(known.Average())}";
    }

    static double? Mean(IEnumerable<double?> errors) => errors.OfType<double>().Select(error => (double?)error).Average();

    static QuantizedEvent Event(QuantizeResult result) => new(
        "done", result.Output, result.Report.BytesBefore, result.Report.BytesAfter, result.Report.Seconds, result.Report.PeakBytes,
        Mean(result.Report.Modules.Select(module => (double?)module.WeightError)), Mean(result.Report.Modules.Select(module => module.TextError)),
        Mean(result.Report.Modules.Select(module => module.VisionError)), result.Verdict.Findings.Count);
}
