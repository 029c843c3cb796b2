using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Models.Config;

namespace Nibble.Cli.Commands;

/// <summary>The result of <c>nibble models --json</c>.</summary>
sealed record ModelsView(IReadOnlyList<SupportedModel> Models);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ModelsView))]
sealed partial class ModelsJson : JsonSerializerContext;

/// <summary><c>nibble models</c>: which architectures run.</summary>
static class ModelsCommand
{
    public static Command Create(Terminal terminal)
    {
        var json = CommonOptions.Json();
        var command = new Command("models", "List the model architectures.") { json };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(json))
                terminal.Json(new ModelsView(SupportedModels.All), ModelsJson.Default.ModelsView);
            else
                terminal.Table(["model_type", "inputs", "published as"], SupportedModels.All.Select(model => (string[])
                    [model.ModelType, model.Inputs, model.Examples]));
            return ExitCode.Ok;
        });
        return command;
    }
}
