using System.CommandLine;
using System.Text.Json.Serialization;
using Nibble.Cli.Output;
using Nibble.Export;
using Nibble.Tensors;

namespace Nibble.Cli.Commands;

/// <summary>One tensor of a checkpoint.</summary>
sealed record TensorView(string Name, string Type, IReadOnlyList<long> Shape, long Bytes, string? Format);

/// <summary>A checkpoint as <c>nibble inspect --json</c> prints it.</summary>
sealed record InspectView(
    string Path, string? ModelType, string? QuantAlgorithm, string? KeyValues, long Bytes, int Files, IReadOnlyList<TensorView> Tensors);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(InspectView))]
sealed partial class InspectJson : JsonSerializerContext;

/// <summary><c>nibble inspect</c>: what a checkpoint holds.</summary>
static class InspectCommand
{
    public static Command Create(Terminal terminal)
    {
        var path = new Argument<string>("path") { Description = "A model folder or one safetensors file." };
        var tensors = new Option<bool>("--tensors") { Description = "List every tensor, not only the totals." };
        var json = CommonOptions.Json();
        var command = new Command("inspect", "Show tensors, formats and sizes of a checkpoint.") { path, tensors, json };
        command.SetAction(parsed =>
        {
            using var checkpoint = QuantizedCheckpoint.Open(parsed.GetRequiredValue(path));
            var view = Look(parsed.GetRequiredValue(path), checkpoint);
            if (parsed.GetValue(json))
                terminal.Json(view, InspectJson.Default.InspectView);
            else
                Show(terminal, view, checkpoint.Folder.Warnings, parsed.GetValue(tensors));
            return ExitCode.Ok;
        });
        return command;
    }

    static InspectView Look(string path, QuantizedCheckpoint checkpoint)
    {
        var formats = checkpoint.Quantization?.Modules.ToDictionary(module => module, checkpoint.Quantization.AlgorithmOf) ?? [];
        var tensors = checkpoint.Folder.Tensors.Select(tensor => new TensorView(
            tensor.Name, tensor.DType.Name(), tensor.Shape.Dimensions.ToArray(), tensor.Bytes, FormatOf(tensor.Name, formats))).ToList();
        return new InspectView(path, checkpoint.Folder.ModelType, Algorithm(checkpoint), checkpoint.Quantization?.KeyValueAlgorithm,
            tensors.Sum(tensor => tensor.Bytes), checkpoint.Folder.Shards.Count, tensors);
    }

    static string? Algorithm(QuantizedCheckpoint checkpoint) =>
        checkpoint.Quantization is { } quantization ? quantization.Algorithm ?? "cache only" : null;

    /// <summary>The algorithm of the module a tensor belongs to, by the longest name that is a prefix.</summary>
    static string? FormatOf(string tensor, Dictionary<string, string> formats) =>
        formats.GetValueOrDefault(tensor[..Math.Max(0, tensor.LastIndexOf('.'))]);

    static void Show(Terminal terminal, InspectView view, IReadOnlyList<string> warnings, bool everything)
    {
        terminal.Line($"model        {view.ModelType ?? "unknown"}");
        terminal.Line($"quantized    {view.QuantAlgorithm ?? "no"}{(view.KeyValues is { } kv ? $", keys and values {kv}" : "")}");
        terminal.Line($"size         {Units.Bytes(view.Bytes)} in {view.Tensors.Count} tensors, {view.Files} {(view.Files == 1 ? "file" : "files")}");
        terminal.Line();
        if (everything)
            terminal.Table(["tensor", "type", "shape", "bytes", "format"], view.Tensors.Select(tensor => (string[])
                [tensor.Name, tensor.Type, string.Join("×", tensor.Shape), Units.Bytes(tensor.Bytes), tensor.Format ?? ""]));
        else
            terminal.Table(["type", "format", "tensors", "bytes"], view.Tensors.GroupBy(tensor => (tensor.Type, tensor.Format))
                .OrderByDescending(group => group.Sum(tensor => tensor.Bytes)).Select(group => (string[])
                [group.Key.Type, group.Key.Format ?? "", group.Count().ToString(), Units.Bytes(group.Sum(tensor => tensor.Bytes))]));
        foreach (var warning in warnings)
            terminal.Warning(warning);
    }
}
