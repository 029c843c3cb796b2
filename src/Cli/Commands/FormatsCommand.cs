using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Cli.Commands;

/// <summary>One format as <c>nibble formats --json</c> prints it.</summary>
sealed record FormatView(
    string Name, string Kind, IReadOnlyList<string> Aliases, string Description, double? BitsPerWeight, bool NeedsData, string Consumers);

/// <summary>The result of <c>nibble formats --json</c>.</summary>
sealed record FormatsView(IReadOnlyList<FormatView> Formats);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(FormatsView))]
sealed partial class FormatsJson : JsonSerializerContext;

/// <summary><c>nibble formats</c>: what a model can be quantized to.</summary>
static class FormatsCommand
{
    /// <summary>Inputs of a matrix for which the bits per weight are quoted, scales included.</summary>
    const int TypicalWidth = 4096;

    public static Command Create(Terminal terminal)
    {
        var json = CommonOptions.Json();
        var command = new Command("formats", "List the formats.") { json };
        command.SetAction(parsed =>
        {
            var formats = Views();
            if (parsed.GetValue(json))
                terminal.Json(new FormatsView(formats), FormatsJson.Default.FormatsView);
            else
                terminal.Table(["format", "for", "bits", "data", "what it is", "read by", "also known as"], formats.Select(format => (string[])
                [
                    format.Name, format.Kind, format.BitsPerWeight is { } bits ? Units.Number(bits) : "–", format.NeedsData ? "needed" : "no",
                    format.Description, format.Consumers, string.Join(", ", format.Aliases),
                ]));
            return ExitCode.Ok;
        });
        return command;
    }

    static IReadOnlyList<FormatView> Views() =>
    [
        .. Schemes.All.Select(entry => new FormatView(entry.Scheme.Name, "weights", entry.Aliases, entry.Description,
            entry.Scheme.Weight.BitsPerWeight(TypicalWidth), entry.Scheme.NeedsData, entry.Consumers)),
        .. FormatPresets.All.Select(Preset),
        .. Schemes.AllKeyValues.Select(entry => new FormatView(
            entry.Format.Name, "kv", entry.Aliases, entry.Description, null, entry.Format.NeedsAmax, entry.Consumers)),
    ];

    /// <summary>A name that chooses an algorithm too.</summary>
    static FormatView Preset(FormatPreset preset)
    {
        var entry = Schemes.All.First(entry => entry.Scheme.Name == preset.Scheme);
        var needsData = entry.Scheme.NeedsData || new Recipe([], preset.Algorithm) { Options = preset.Options }.NeedsData;
        return new FormatView(preset.Name, "weights", preset.Aliases, preset.Description,
            entry.Scheme.Weight.BitsPerWeight(TypicalWidth), needsData, preset.Consumers ?? entry.Consumers);
    }
}
