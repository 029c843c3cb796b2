using System.Globalization;
using System.Text;
using Nibble.Quant.Evaluation;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Perf.Quality;

/// <summary>What rotating the weights first does to formats with and without rounded inputs, and to the strongest algorithm.</summary>
static class RotationTable
{
    static readonly string[] formats = ["int8", "w4a8", "nvfp4", "int4", "int3", "int2"];

    static readonly Algorithm[] algorithms = [Algorithm.Rtn, Algorithm.Best];

    /// <param name="only">Formats by name; empty for all, and then the table is kept in <c>perf/results</c>.</param>
    public static void Run(TextWriter output, string model, int draws, IReadOnlyList<string> only)
    {
        var table = new StringBuilder("""
            | format | algorithm | rotation | held-out error, text | held-out error, vision | KL on answers | KL on text | perplexity |
            |---|---|---|---|---|---|---|---|

            """);
        using AlgorithmRuns plain = new(model, quick: true), rotated = new(model, quick: true, Rotation.Hadamard);
        Add(Row(Rotation.None, plain.Unquantized()));
        Add(Row(Rotation.Hadamard, rotated.Unquantized()));
        foreach (var scheme in formats.Where(format => only.Count == 0 || only.Contains(format)).Select(format => Schemes.Find(format)!))
            foreach (var algorithm in algorithms)
                foreach (var (rotation, runs) in ((Rotation, AlgorithmRuns)[])[(Rotation.None, plain), (Rotation.Hadamard, rotated)])
                    Add(Row(rotation, [.. Enumerable.Range(1, algorithm == Algorithm.Rtn && !scheme.NeedsData ? 1 : draws)
                        .Select(draw => runs.Run(scheme, algorithm, draw))]));
        if (only.Count == 0)
            File.WriteAllText(Path.Combine("perf", "results", $"{Path.GetFileName(Path.GetFullPath(model))}-rotation.md"), Page(model, draws, table.ToString()));

        void Add(string row)
        {
            output.Write(row);
            table.Append(row);
        }
    }

    static string Row(Rotation rotation, EvalScores scores) => string.Create(CultureInfo.InvariantCulture,
        $"| none | | {Words.Of(rotation)} | | | {scores.AnswerDivergence!.Mean:0.0000000} | {scores.TextDivergence!.Mean:0.0000000} | {scores.Perplexity:0.0000} |\n");

    static string Row(Rotation rotation, List<AlgorithmScore> runs)
    {
        string Spread(Func<AlgorithmScore, double> value, string format) => AlgorithmTable.Spread(runs, value, format);
        return $"| {runs[0].Format} | {runs[0].Algorithm} | {Words.Of(rotation)} | {Spread(run => run.TextError, "0.0000")} "
            + $"| {Spread(run => run.VisionError, "0.0000")} | {Spread(run => run.AnswerDivergence, "0.00000")} "
            + $"| {Spread(run => run.TextDivergence, "0.00000")} | {Spread(run => run.Perplexity, "0.0000")} |\n";
    }

    static string Page(string model, int draws, string table) => $"""
        # Rotation on {Path.GetFileName(Path.GetFullPath(model))}

        Written by `dotnet run -c Release --project perf -- rotation {model} {draws}`: the language half quantized, with its weights as they are
        and with `--rotation hadamard`; means over {draws} draws of calibration data ± their standard deviation. KL divergences and perplexity
        are against the model as it is stored and comparable in every row; the rows of format none are what rotating costs by itself, in numbers of
        the stored type. *Held-out error* is the mean over modules of ‖W·x̃ − Ŵ·x‖² / ‖W·x̃‖², of each model in its own basis: an orthogonal change of
        basis keeps both lengths, so the errors can be compared, as errors of outputs; those of single channels cannot.

        {table}
        """;
}
