using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Nibble.Cli.Output;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;

namespace Nibble.Cli.Runs;

/// <summary>
/// The README.md of a checkpoint, with the metadata model hubs read. It names folders, not places on this machine, and holds no time: an
/// interrupted and continued run writes the same bytes.
/// </summary>
static class ModelCard
{
    /// <param name="command">How the checkpoint is made again.</param>
    public static string Write(RunReport report, Recipe recipe, string command)
    {
        var modules = report.Modules.ToList();
        var schemes = modules.GroupBy(module => module.Scheme).ToList();
        var name = NameOf(report.Model);
        var card = new StringBuilder();
        card.Append($"---\nbase_model: {Quoted(name)}\nbase_model_relation: quantized\nlibrary_name: transformers\ntags:\n- nibble\n- modelopt\n");
        foreach (var scheme in schemes)
            card.Append($"- {scheme.Key}\n");
        card.Append($"---\n\n# {Plain(name)}, quantized\n\n{Plain(name)} ({Plain(report.ModelType)}), quantized after training with nibble ");
        card.Append($"{Product.Version}:\n\n```\n{command}\n```\n\n");
        card.Append($"- Size: {Units.Bytes(report.BytesBefore)} → {Units.Bytes(report.BytesAfter)}\n");
        if (recipe.KeyValues is { } cache)
            card.Append($"- Cached keys and values: {cache.Name}\n");
        if (recipe.Rotation != Rotation.None)
            card.Append($"- Weights of the language model rotated first: {Words.Of(recipe.Rotation)}\n");
        card.Append(report.Calibration is { } data
            ? $"- Calibration: {report.Samples} samples of {Plain(NameOf(data))}, {report.TextTokens} text and {report.VisionTokens} vision tokens\n"
            : "- Calibration: none needed\n");
        card.Append($"- Rules, the last match wins: `{recipe.Describe().Replace('`', '\'')}`\n\n");
        Errors(card, schemes);
        card.Append("Errors are means over modules of ‖difference‖² / ‖original‖²: of the weights, and of the outputs on calibration inputs with ");
        card.Append("activations rounded as the format says. `report.html` has every module.\n");
        return card.ToString();
    }

    /// <summary>The last part of a path.</summary>
    public static string NameOf(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));

    static void Errors(StringBuilder card, IEnumerable<IGrouping<string, ModuleReport>> schemes)
    {
        card.Append("| format | modules | before | after | weight error | output error on text | output error on vision |\n|---|---|---|---|---|---|---|\n");
        foreach (var scheme in schemes)
            card.Append($"| {scheme.Key} | {scheme.Count()} | {Units.Bytes(scheme.Sum(module => module.BytesBefore))} "
                + $"| {Units.Bytes(scheme.Sum(module => module.BytesAfter))} | {Mean(scheme.Select(module => (double?)module.WeightError))} "
                + $"| {Mean(scheme.Select(module => module.TextError))} | {Mean(scheme.Select(module => module.VisionError))} |\n");
        card.Append('\n');
    }

    static string Mean(IEnumerable<double?> errors) => errors.Average() is { } mean ? Units.Number(mean) : "–";

    /// <summary>A JSON string is a YAML string.</summary>
    static string Quoted(string text) => $"\"{JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\"";

    /// <summary>Nothing of a name is markup.</summary>
    static string Plain(string text) => string.Concat(text.Select(c => char.IsControl(c) ? " " : @"\`*_{}[]<>#|".Contains(c) ? $"\\{c}" : $"{c}"));
}
