using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Models.Architectures;

namespace Nibble.Cli.Commands;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(IReadOnlyList<SupportedModel>))]
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
                terminal.Json(Networks.Supported, ModelsJson.Default.IReadOnlyListSupportedModel);
            else
                terminal.Table(["model_type", "inputs", "published as"], Networks.Supported.Select(model => (string[])
                    [model.ModelType, model.Inputs, model.Examples]));
            return ExitCode.Ok;
        });
        return command;
    }
}
