using System.Globalization;
using System.Text;
using System.Text.Json;
using Nibble.Quant.Formats;

namespace Nibble.Perf.Quality;

/// <summary>Every format on one model: quantized and evaluated by the command itself, as anyone would. Makes the table of the README.</summary>
static class FormatTable
{
    const string Header = """
        | format | bits per weight | weights on disk | exact match | multiple choice | perplexity | KL on answers | KL on text | same top token on text | seconds |
        |---|---|---|---|---|---|---|---|---|---|
        """;

    /// <summary>The checkpoint is complete, but the default runtime does not know the format. What it computes can still be measured here.</summary>
    const int NotForTarget = 5;

    /// <summary>Prints the table and keeps it in <c>perf/results</c> under the model's name.</summary>
    /// <param name="model">A folder with <c>calib.jsonl</c>, and <c>eval.jsonl</c> or <c>eval_text.txt</c>.</param>
    public static void Run(TextWriter output, string model)
    {
        var folder = Directory.CreateTempSubdirectory("nibble-quality-").FullName;
        var table = new StringBuilder(Header).Append('\n');
        try
        {
            table.Append(Original(model)).Append('\n');
            foreach (var entry in Schemes.All)
                table.Append(Quantized(model, entry.Scheme.Name, [], Path.Combine(folder, entry.Scheme.Name))).Append('\n');
            table.Append(Quantized(model, "nvfp4", ["--kv", "fp8"], Path.Combine(folder, "kv"))).Append('\n');
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        output.Write(table);
        var results = Directory.CreateDirectory(Path.Combine("perf", "results")).FullName;
        File.WriteAllText(Path.Combine(results, Path.GetFileName(Path.GetFullPath(model)) + ".md"), Page(model, table.ToString()));
    }

    static string Page(string model, string table) => $"""
        # Formats on {Path.GetFileName(Path.GetFullPath(model))}

        Written by `dotnet run -c Release --project perf -- quality {model}`. The language half is quantized, vision tower, projector,
        embedding and head are not; `--algorithm max` with all of `calib.jsonl` where the format needs data. Every row is a checkpoint on
        disk, loaded again and scored by `nibble eval --against` the original: activations are rounded as the format says, KL divergences
        are in nats. *Bits per weight* counts the scales and only quantized matrices; *seconds* is the whole `nibble quantize`, on a machine
        that may have had other work.

        {table}
        """;

    static string Original(string model)
    {
        using var scores = JsonDocument.Parse(LastLine(NibbleCommand.Expect(["eval", model, .. Data(model), "--json"]).Output));
        var bits = 16.0; // BF16
        return Row("none (BF16)", bits, WeightBytes(model), scores.RootElement, null);
    }

    static string Quantized(string model, string format, string[] more, string target)
    {
        var run = NibbleCommand.Expect([0, NotForTarget], ["quantize", model, "--format", format, .. more, "-o", target]);
        using var report = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(target, "report.json")));
        using var scores = JsonDocument.Parse(LastLine(
            NibbleCommand.Expect(["eval", target, "--against", model, .. Data(model), "--json"]).Output));
        return Row(string.Join(' ', [format, .. more]), BitsPerWeight(report.RootElement), WeightBytes(target), scores.RootElement, run.Seconds);
    }

    static IEnumerable<string> Data(string model)
    {
        foreach (var (option, name) in ((string, string)[])[("--data", "eval.jsonl"), ("--text", "eval_text.txt")])
            if (File.Exists(Path.Combine(model, name)))
                foreach (var word in (string[])[option, Path.Combine(model, name)])
                    yield return word;
    }

    static double BitsPerWeight(JsonElement report)
    {
        var modules = report.GetProperty("stages").EnumerateArray().SelectMany(stage => stage.GetProperty("modules").EnumerateArray()).ToList();
        return 8.0 * modules.Sum(module => module.GetProperty("bytes_after").GetInt64())
            / modules.Sum(module => module.GetProperty("rows").GetInt64() * module.GetProperty("columns").GetInt64());
    }

    static string Row(string name, double bits, long bytes, JsonElement scores, double? seconds) => "| " + string.Join(" | ",
    [
        name, Number(bits, "0.0#"), Number(bytes / 1e6, "0.00") + " MB",
        Share(scores, "questions_right", "questions"), Share(scores, "choices_right", "choices"),
        Number(Value(scores, "perplexity"), "0.0000"),
        Number(Value(scores, "answer_divergence", "mean"), "0.00000"), Number(Value(scores, "text_divergence", "mean"), "0.00000"),
        Value(scores, "text_divergence", "top_agreement") is { } agreement ? Number(100 * agreement, "0.00") + " %" : "",
        Number(seconds, "0.0"),
    ]) + " |";

    static string Share(JsonElement scores, string right, string all) => scores.GetProperty(all).GetInt32() is > 0 and var total
        ? $"{scores.GetProperty(right).GetInt32()} of {total}" : "";

    static double? Value(JsonElement element, params ReadOnlySpan<string> path)
    {
        foreach (var name in path)
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(name, out element))
                return null;
        return element.ValueKind == JsonValueKind.Number ? element.GetDouble() : null;
    }

    static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "";

    static long WeightBytes(string folder) => Directory.GetFiles(folder, "*.safetensors")
        .Where(file => !file.EndsWith("reference.safetensors", StringComparison.Ordinal)).Sum(file => new FileInfo(file).Length);

    static string LastLine(string text) => text.TrimEnd('\n').Split('\n')[^1];
}
