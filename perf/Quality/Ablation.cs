using System.Globalization;
using System.Text;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Perf.Quality;

/// <summary>What each part of <c>best</c> contributes, and what other settings would do.</summary>
static class Ablation
{
    static readonly CompensationOptions best = CompensationOptions.Best;

    static readonly (string Name, CompensationOptions Options)[] variants =
    [
        ("vlm-ptq", CompensationOptions.VlmPtq),
        ("best", best),
        ("no shift", best with { Shift = Shift.None }),
        ("α of half the tokens", best with { AlphaOfAllTokens = false }),
        ("α = 0.5", best with { Alpha = 0.5 }),
        ("α = 1", best with { Alpha = 1 }),
        ("damping 0.01", best with { Damping = 0.01 }),
        ("damping 0.1", best with { Damping = 0.1 }),
        ("damping 0.3", best with { Damping = 0.3 }),
        ("no sweeps", best with { Sweeps = 0 }),
        ("scales not refitted", best with { Refit = false }),
        ("columns in order", best with { ActOrder = false }),
        ("modalities by tokens", best with { Weighting = HessianWeighting.Joint }),
        ("text counts 0.75", best with { TextShare = 0.75 }),
        ("scales by second moments only", best with { SecondSearch = null }),
        ("scales by error only", best with { Search = ScaleSearch.Error, SecondSearch = null }),
    ];

    /// <param name="only">Formats, variants by name; empty for all.</param>
    public static void Run(TextWriter output, string model, int draws, IReadOnlyList<string> only)
    {
        var table = new StringBuilder("""
            | format | variant | held-out error, text | held-out error, vision | KL on answers | KL on text | perplexity |
            |---|---|---|---|---|---|---|

            """);
        using var runs = new AlgorithmRuns(model, quick: true);
        foreach (var format in (string[])["int3", "int2"])
            foreach (var (name, options) in variants)
            {
                if (only.Count > 0 && (!only.Contains(format) || (only.Count > 1 && !only.Contains(name))))
                    continue;
                var scores = Enumerable.Range(1, draws)
                    .Select(draw => runs.Run(Schemes.Find(format)!, Algorithm.Best, draw, options, name)).ToList();
                var row = string.Create(CultureInfo.InvariantCulture, $"| {format} | {name} | {scores.Average(score => score.TextError):0.00000} " +
                    $"| {scores.Average(score => score.VisionError):0.00000} | {scores.Average(score => score.AnswerDivergence):0.00000} " +
                    $"| {scores.Average(score => score.TextDivergence):0.00000} | {scores.Average(score => score.Perplexity):0.0000} |\n");
                output.Write(row);
                table.Append(row);
            }
        if (only.Count == 0)
            File.WriteAllText(Path.Combine("perf", "results", $"{Path.GetFileName(Path.GetFullPath(model))}-ablation.md"), Page(model, draws, table.ToString()));
    }

    static string Page(string model, int draws, string table) => $"""
        # The parts of best on {Path.GetFileName(Path.GetFullPath(model))}

        Written by `dotnet run -c Release --project perf -- ablation {model} {draws}`: `best` with one thing changed, means over {draws} draws of
        calibration data, measured as in the table of algorithms. Calibrated with questions about pictures; the text of *KL on text* and of the
        perplexity is of another kind.

        {table}
        """;
}
