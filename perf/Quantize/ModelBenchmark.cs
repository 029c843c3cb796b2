using System.Globalization;
using System.Text.Json;
using Nibble.Perf.Streaming;

namespace Nibble.Perf.Quantize;

/// <summary>A synthetic model of 1.1 billion weights in 16 blocks, quantized with <c>best</c> on 128 sequences of 512 tokens.</summary>
static class ModelBenchmark
{
    const int Samples = 128, SampleTokens = 512;

    /// <param name="folder">Where the model is made, and found again.</param>
    /// <param name="blocks">Quantize only the first blocks; the forward passes end there too.</param>
    public static void Run(TextWriter output, string folder, int blocks)
    {
        var (model, tokens, target) = (Path.Combine(folder, "model"), Path.Combine(folder, "tokens.safetensors"), Path.Combine(folder, "best"));
        SyntheticModel.Write(model);
        SyntheticModel.WriteTokens(tokens, Samples, SampleTokens);
        var rest = Enumerable.Range(blocks, Math.Max(0, SyntheticModel.Layers - blocks))
            .Select(layer => string.Create(CultureInfo.InvariantCulture, $"model.layers.{layer}.*")).ToList();
        var result = NibbleCommand.Expect([0, 5], // no target reads int4 in this layout
        [
            "quantize", model, "--format", "int4", "--algorithm", "best", "--calibration", tokens, "--activation-budget", "4GiB", "-o", target,
            .. rest.Count > 0 ? ["--exclude", .. rest] : (string[])[],
        ]);
        using var report = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(target, "report.json")));
        output.WriteLine("stage             running samples   sums and codes   peak resident set so far");
        foreach (var stage in report.RootElement.GetProperty("stages").EnumerateArray())
            output.WriteLine($"{stage.GetProperty("name").GetString(),-16} {stage.GetProperty("forward_seconds").GetDouble(),14:F1} s " +
                $"{stage.GetProperty("quantize_seconds").GetDouble(),14:F1} s {stage.GetProperty("peak_bytes").GetInt64() >> 20,16} MiB");
        output.WriteLine($"{blocks} of {SyntheticModel.Layers} blocks, {Samples} x {SampleTokens} tokens: {result.Seconds:F0} s, " +
            $"peak {result.PeakBytes >> 20} MiB, {report.RootElement.GetProperty("spilled_bytes").GetInt64() >> 20} MiB spilled");
        Directory.Delete(target, recursive: true);
    }
}
