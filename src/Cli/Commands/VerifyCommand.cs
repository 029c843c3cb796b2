using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Export.Verification;

namespace Nibble.Cli.Commands;

/// <summary>The result of <c>nibble verify --json</c>.</summary>
sealed record VerifyView(string Checkpoint, string Target, bool Passed, IReadOnlyList<Finding> Findings);

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
            var name = parsed.GetRequiredValue(target);
            var findings = CheckpointVerifier.Verify(path, CommonOptions.ParseTarget(name));
            if (parsed.GetValue(json))
                terminal.Json(new VerifyView(path, name, findings.Count == 0, findings), VerifyJson.Default.VerifyView);
            else if (findings.Count == 0)
                terminal.Line($"{path}: keeps all rules of {name}.");
            else
                Show(terminal, findings);
            return findings.Count == 0 ? ExitCode.Ok : ExitCode.VerificationFailed;
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
