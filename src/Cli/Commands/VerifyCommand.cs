using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Cli.Runs;
using Nibble.Export;
using Nibble.Export.Verification;

namespace Nibble.Cli.Commands;

/// <summary>The result of <c>nibble verify --json</c>.</summary>
sealed record VerifyView(string Checkpoint, string Target, bool Passed, IReadOnlyList<Finding> Findings, IReadOnlyList<string> Warnings);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(VerifyView))]
sealed partial class VerifyJson : JsonSerializerContext;

/// <summary><c>nibble verify</c>: whether a checkpoint keeps the rules of the runtime it is for.</summary>
static class VerifyCommand
{
    public static Command Create(Terminal terminal)
    {
        var model = CommonOptions.Model();
        var target = CommonOptions.Target();
        var json = CommonOptions.Json();
        var command = new Command("verify", "Check a checkpoint against the rules of a runtime.") { model, target, json };
        command.SetAction(parsed =>
        {
            var path = parsed.GetRequiredValue(model);
            var choice = CommonOptions.ParseTarget(parsed.GetValue(target));
            if (!Directory.Exists(path) && !File.Exists(path))
                throw new CheckpointException(path, "no such folder");
            var verdict = choice.Verify(path);
            if (parsed.GetValue(json))
                terminal.Json(new VerifyView(path, choice.Name, verdict.Passed, verdict.Findings, verdict.Warnings), VerifyJson.Default.VerifyView);
            else if (verdict.Passed)
                terminal.Line($"{path}: keeps all rules of {(verdict.Warnings.Count > 0 ? "the layout" : choice.Name)}.");
            else
                Show(terminal, verdict.Findings);
            foreach (var warning in verdict.Warnings)
                terminal.Warning(warning);
            return verdict.Passed ? ExitCode.Ok : ExitCode.VerificationFailed;
        });
        return command;
    }

    /// <summary>One line per finding.</summary>
    public static void Show(Terminal terminal, IReadOnlyList<Finding> findings)
    {
        foreach (var finding in findings)
            terminal.Line($"{finding.Subject}: {finding.Rule}: expected {finding.Expected}, found {finding.Found}");
    }
}
