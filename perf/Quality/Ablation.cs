using System.Globalization;
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
        ("damping 0.03", best with { Damping = 0.03 }),
        ("damping 0.1", best with { Damping = 0.1 }),
        ("damping 0.3", best with { Damping = 0.3 }),
        ("damping 1", best with { Damping = 1 }),
        ("refit, damping 0.03", best with { Damping = 0.03, Refit = true, Sweeps = 4 }),
        ("refit, damping 0.05", best with { Damping = 0.05, Refit = true, Sweeps = 4 }),
        ("refit, damping 0.1", best with { Damping = 0.1, Refit = true, Sweeps = 4 }),
        ("no shift", best with { Shift = Shift.None }),
        ("alpha 0.5", best with { Alpha = 0.5 }),
        ("alpha 1", best with { Alpha = 1 }),
        ("no sweeps", best with { Sweeps = 0 }),
        ("8 sweeps", best with { Sweeps = 8 }),
        ("columns in order", best with { ActOrder = false }),
        ("joint", best with { Weighting = HessianWeighting.Joint }),
        ("text 0.75", best with { TextShare = 0.75 }),
        ("text 0.9", best with { TextShare = 0.9 }),
        ("scales by error", best with { Search = ScaleSearch.Error }),
    ];

    /// <param name="only">Formats, variants by name; empty for all.</param>
    public static void Run(TextWriter output, string model, int draws, IReadOnlyList<string> only)
    {
        using var runs = new AlgorithmRuns(model, quick: true);
        foreach (var format in (string[])["int3", "int2"])
            foreach (var (name, options) in variants)
            {
                if (only.Count > 0 && (!only.Contains(format) || (only.Count > 1 && !only.Contains(name))))
                    continue;
                var scores = Enumerable.Range(1, draws)
                    .Select(draw => runs.Run(Schemes.Find(format)!, Algorithm.Best, draw, options, name)).ToList();
                output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{format} {name,-22} text {scores.Average(score => score.TextError):0.00000} " +
                    $"vision {scores.Average(score => score.VisionError):0.00000}  KL answers {scores.Average(score => score.AnswerDivergence):0.00000} " +
                    $"text {scores.Average(score => score.TextDivergence):0.00000}  perplexity {scores.Average(score => score.Perplexity):0.0000}"));
            }
    }
}
