using System.Globalization;
using System.Text;
using System.Text.Json;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Perf.Quality;

/// <summary>Every algorithm on the formats where algorithms matter, over several draws of calibration data. Makes the table of the README.</summary>
static class AlgorithmTable
{
    public const int Draws = 5;

    static readonly string[] formats = ["int4", "int3", "int2", "nvfp4", "w4a8"];

    static readonly Algorithm[] algorithms =
        [Algorithm.Rtn, Algorithm.Awq, Algorithm.Gptq, Algorithm.Gptaq, Algorithm.VlmPtq, Algorithm.Best];

    /// <summary>Prints each run as it is done and the table at the end, and keeps both in <c>perf/results</c>.</summary>
    /// <param name="only">Formats and algorithms by name; empty for all.</param>
    public static void Run(TextWriter output, string model, IReadOnlyList<string> only)
    {
        var name = Path.GetFileName(Path.GetFullPath(model));
        var results = Directory.CreateDirectory(Path.Combine("perf", "results")).FullName;
        var file = Path.Combine(results, $"{name}-algorithms.jsonl");
        var scores = File.Exists(file)
            ? File.ReadLines(file).Select(line => JsonSerializer.Deserialize(line, AlgorithmScoreJson.Default.AlgorithmScore)!).ToList() : [];
        using var runs = new AlgorithmRuns(model, quick: false);
        foreach (var format in Chosen(formats, format => format, only))
            foreach (var algorithm in Chosen(algorithms, algorithm => algorithm.Entry().Name, only))
            {
                scores.RemoveAll(score => score.Format == format && score.Algorithm == algorithm.Entry().Name);
                for (var draw = 1; draw <= (algorithm == Algorithm.Rtn && Schemes.Find(format)!.Activation is null ? 1 : Draws); draw++)
                {
                    scores.Add(runs.Run(Schemes.Find(format)!, algorithm, draw));
                    output.WriteLine(JsonSerializer.Serialize(scores[^1], AlgorithmScoreJson.Default.AlgorithmScore));
                }
                File.WriteAllLines(file, scores.Select(score => JsonSerializer.Serialize(score, AlgorithmScoreJson.Default.AlgorithmScore)));
                File.WriteAllText(Path.Combine(results, $"{name}-algorithms.md"), Page(model, scores));
            }
        output.Write(Table(scores));
    }

    static IEnumerable<T> Chosen<T>(IReadOnlyList<T> all, Func<T, string> name, IReadOnlyList<string> only) =>
        all.Any(item => only.Contains(name(item))) ? all.Where(item => only.Contains(name(item))) : all;

    static string Page(string model, List<AlgorithmScore> scores) => $"""
        # Algorithms on {Path.GetFileName(Path.GetFullPath(model))}

        Written by `dotnet run -c Release --project perf -- algorithms {model}`, with every run in the .jsonl beside it. The language half is
        quantized. Calibrated with half of `calib.jsonl`, drawn anew for each of {Draws} draws; numbers are means over the draws ± their
        standard deviation. *Held-out error* is the mean over modules of ‖W·x̃ − Ŵ·x‖² / ‖W·x̃‖² on the other half, x̃ being what enters the
        module in the original model and x what enters it in the quantized one. KL divergences from the original are in nats.

        {Table(scores)}
        """;

    static string Table(List<AlgorithmScore> scores)
    {
        var table = new StringBuilder("""
            | format | algorithm | held-out error, text | held-out error, vision | KL on answers | KL on text | perplexity | exact match |
            |---|---|---|---|---|---|---|---|

            """);
        foreach (var format in formats)
            foreach (var algorithm in algorithms.Select(algorithm => algorithm.Entry().Name))
                if (scores.Where(score => score.Format == format && score.Algorithm == algorithm).ToList() is { Count: > 0 } runs)
                    table.Append($"| {format} | {algorithm} | {Spread(runs, run => run.TextError, "0.0000")} | {Spread(runs, run => run.VisionError, "0.0000")} "
                        + $"| {Spread(runs, run => run.AnswerDivergence, "0.00000")} | {Spread(runs, run => run.TextDivergence, "0.00000")} "
                        + $"| {Spread(runs, run => run.Perplexity, "0.0000")} | {Spread(runs, run => 100.0 * run.Right / run.Questions, "0.0")} % |\n");
        return table.ToString();
    }

    /// <summary>Mean ± standard deviation.</summary>
    public static string Spread(List<AlgorithmScore> runs, Func<AlgorithmScore, double> value, string format)
    {
        var (mean, values) = (runs.Average(value), runs.Select(value).ToList());
        var text = mean.ToString(format, CultureInfo.InvariantCulture);
        if (values.Count < 2)
            return text;
        var deviation = Math.Sqrt(values.Sum(x => (x - mean) * (x - mean)) / (values.Count - 1));
        return $"{text} ± {deviation.ToString(format, CultureInfo.InvariantCulture)}";
    }
}
