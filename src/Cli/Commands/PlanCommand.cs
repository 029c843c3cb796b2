using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Cli.Runs;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Cli.Commands;

/// <summary>One module of <c>nibble plan --json</c>.</summary>
sealed record PlannedView(
    string Name, string Scope, long Rows, long Columns, string Type, string? Scheme, string Rule, long BytesBefore, long BytesAfter);

/// <summary>A plan as <c>nibble plan --json</c> prints it.</summary>
sealed record PlanView(
    IReadOnlyList<PlannedView> Modules, long BytesBefore, long BytesAfter, bool NeedsData, long PeakBytes, double Seconds,
    IReadOnlyList<string> Problems, IReadOnlyList<string> Obstacles)
{
    public static PlanView Of(Plan plan, Forecast forecast) => new(
        [.. plan.Modules.Select(module => new PlannedView(module.Name, module.Scope.ToString().ToLowerInvariant(), module.Rows, module.Columns,
            module.Weight.DType.Name(), module.Scheme?.Name, module.Reason, module.Weight.Bytes, module.BytesAfter))],
        plan.BytesBefore, plan.BytesAfter, plan.NeedsData, forecast.PeakBytes, forecast.Seconds, plan.Problems, forecast.Obstacles);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(PlanView))]
sealed partial class PlanJson : JsonSerializerContext;

/// <summary><c>nibble plan</c>: what would happen, without doing it.</summary>
static class PlanCommand
{
    public static Command Create(Terminal terminal)
    {
        var request = new RequestOptions();
        var output = new Option<string?>("--output", "-o") { Description = "Also check that this folder can be written and is large enough." };
        var json = CommonOptions.Json();
        var command = new Command("plan", "Show what quantizing would do: modules, formats, sizes, memory, time.") { output, json };
        request.AddTo(command);
        command.SetAction(parsed =>
        {
            var recipe = request.Recipe(parsed);
            using var model = ModelFolder.Open(parsed.GetRequiredValue(request.Model), recipe.Rotation);
            if (parsed.GetValue(output) is { } folder)
                OutputFolder.Check(folder, model.Path, overwrite: false);
            var plan = model.Plan(recipe, out var unused);
            var options = request.Run(parsed);
            options.Target.Check(plan);
            var data = plan.NeedsData && plan.Problems.Count == 0 ? CalibrationFiles.Open(model, plan, options) : null;
            var forecast = Forecasts.Of(model, plan, options, parsed.GetValue(output), data);
            if (parsed.GetValue(json))
                terminal.Json(PlanView.Of(plan, forecast), PlanJson.Default.PlanView);
            else
                Show(terminal, plan, forecast);
            if (QuantizeRun.UnusedWarning(model, unused) is { } warning)
                terminal.Warning(warning);
            return plan.Problems.Count > 0 ? ExitCode.BadInput : forecast.Fits ? ExitCode.Ok : ExitCode.CannotFit;
        });
        return command;
    }

    static void Show(Terminal terminal, Plan plan, Forecast forecast)
    {
        terminal.Table(["module", "shape", "type", "becomes", "before", "after", "rule"], plan.Modules.Select(module => (string[])
        [
            module.Name, $"{module.Rows}×{module.Columns}", module.Weight.DType.Name(), module.Scheme?.Name ?? "–",
            Units.Bytes(module.Weight.Bytes), Units.Bytes(module.BytesAfter), module.Reason,
        ]));
        terminal.Line();
        terminal.Line($"quantized    {plan.Quantized.Count()} of {plan.Modules.Count} linear modules" +
            (plan.Attentions.Count > 0 ? $", cache scales of {plan.Attentions.Count} attention modules" : ""));
        terminal.Line($"size         {Units.Bytes(plan.BytesBefore)} → {Units.Bytes(plan.BytesAfter)}");
        terminal.Line($"data         {(plan.NeedsData ? "calibration needed" : "none needed")}");
        terminal.Line($"peak memory  about {Units.Bytes(forecast.PeakBytes)}");
        terminal.Line($"time         about {Units.Time(TimeSpan.FromSeconds(forecast.Seconds))} on this machine");
        foreach (var problem in plan.Problems.Concat(forecast.Obstacles))
            terminal.Error(problem);
    }
}
