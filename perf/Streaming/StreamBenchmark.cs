using System.Diagnostics;
using System.Text.Json;

namespace Nibble.Perf.Streaming;

/// <summary>
/// Holds a streamed quantization of a checkpoint of 2.2 GB to its two promises: memory is one block and the activation budget, not the
/// model; and without calibration the disk is the limit, not the arithmetic.
/// </summary>
sealed class StreamBenchmark(TextWriter output, string folder)
{
    const long MostPeakBytes = 1_000_000_000;
    const double LeastShareOfCopy = 0.6;
    const long ActivationBudget = 64 << 20;

    // 48 · 256 tokens of 2048 floats are 96 MiB: a third of the hidden states has to wait on disk.
    const int Samples = 48, SampleTokens = 256;
    const int Rounds = 3;

    bool held = true;

    string Model => Path.Combine(folder, "model");

    /// <summary>Returns whether every bound was held.</summary>
    public bool Run()
    {
        SyntheticModel.Write(Model);
        var bytes = Bytes(Model);
        output.WriteLine($"checkpoint   {bytes / 1e9:F2} GB of BF16 in {Directory.GetFiles(Model, "*.safetensors").Length} files, " +
            $"one block {SyntheticModel.BlockBytes >> 20} MiB, largest tensor {SyntheticModel.LargestTensorBytes >> 20} MiB");
        Throughput("warm cache", FileCache.Warm);
        if (FileCache.CanDrop)
            Throughput("cold cache", FileCache.Drop);
        Calibrated();
        return held;
    }

    void Calibrated()
    {
        var tokens = Path.Combine(folder, "tokens.safetensors");
        SyntheticModel.WriteTokens(tokens, Samples, SampleTokens);
        var target = Fresh("calibrated");
        var result = NibbleCommand.Expect("quantize", Model, "--format", "nvfp4", "--calibration", tokens,
            "--activation-budget", $"{ActivationBudget >> 20}MiB", "-o", target);
        using var report = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(target, "report.json")));
        var spilled = report.RootElement.GetProperty("spilled_bytes").GetInt64();
        output.WriteLine($"nvfp4, {Samples} x {SampleTokens} tokens, {ActivationBudget >> 20} MiB of activations in memory: " +
            $"{result.Seconds:F1} s, {spilled >> 20} MiB spilled");
        Hold("peak resident set", result.PeakBytes / 1e6, "MB", result.PeakBytes < MostPeakBytes, $"< {MostPeakBytes / 1e6:F0}");
        Hold("spilled", spilled >> 20, "MiB", spilled > 0, "> 0");
        Directory.Delete(target, recursive: true);
    }

    /// <summary>A copy and a quantization in turn, each beginning with the same state of the file cache; both end on the disk.</summary>
    void Throughput(string state, Action<string> prepare)
    {
        var (copies, runs, shares, peaks) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            var copy = Fresh("copy");
            prepare(Model);
            var clock = Stopwatch.StartNew();
            var rate = FileCache.Copy(Model, copy) / clock.Elapsed.TotalSeconds;
            Directory.Delete(copy, recursive: true);

            var target = Fresh("data-free");
            prepare(Model);
            var result = NibbleCommand.Expect("quantize", Model, "--format", "w4a16_nvfp4", "-o", target);
            var ours = (Bytes(Model) + Bytes(target)) / result.Seconds;
            Directory.Delete(target, recursive: true);

            copies.Add(rate);
            runs.Add(ours);
            shares.Add(ours / rate);
            peaks.Add(result.PeakBytes);
        }
        output.WriteLine($"w4a16_nvfp4, {state}: copy {Median(copies) / 1e9:F2} GB/s, quantize {Median(runs) / 1e9:F2} GB/s " +
            $"(read + written, on the disk), peak {Median(peaks) / 1e6:F0} MB");
        Hold($"share of copy speed, {state}", Median(shares), "x", Median(shares) >= LeastShareOfCopy, $">= {LeastShareOfCopy}");
    }

    void Hold(string what, double value, string unit, bool holds, string bound)
    {
        output.WriteLine($"  {(holds ? "ok    " : "MISSED")} {what}: {value:0.##} {unit} ({bound})");
        held &= holds;
    }

    string Fresh(string name)
    {
        var path = Path.Combine(folder, name);
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
        return path;
    }

    static long Bytes(string path) => Directory.GetFiles(path).Sum(file => new FileInfo(file).Length);

    static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}
