using Nibble.Models;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>
/// How much of a run is done. A stage costs the bytes of its weights once per sample for the forward pass, and a few times for
/// quantizing, so that the remaining time can be estimated from the time so far.
/// </summary>
sealed class Schedule
{
    /// <summary>
    /// Quantizing a weight costs roughly as much as multiplying it with the tokens of this many samples. Only the remaining time that is
    /// shown depends on it.
    /// </summary>
    const double QuantizeCost = 2;

    /// <summary>Samples run through the original and the quantized model.</summary>
    const double Streams = 2;

    /// <summary>Tokens of a sample, as far as they decide how moments and factorizations compare with a forward pass.</summary>
    const double TypicalTokens = 512;

    readonly Dictionary<string, double> forwardCost, quantizeCost;
    readonly IReadOnlyList<StageLoader> stages;
    readonly IProgress<Progress>? progress;
    readonly Phase first;
    readonly double total;
    StageLoader current;
    int index = -1;
    double done;

    public Schedule(
        IReadOnlyList<StageLoader> stages, ITensorSource source, Plan plan, int samples, IProgress<Progress>? progress)
    {
        this.stages = stages;
        this.progress = progress;
        first = plan.NeedsData ? Phase.Forward : Phase.Quantize;
        current = stages[0];
        var sequential = plan.Recipe.Algorithm.IsSequential();
        forwardCost = stages.ToDictionary(stage => stage.Name,
            stage => (double)stage.Modules.Sum(module => source.Find(module + ".weight")?.Bytes ?? 0)
                * (plan.NeedsData ? 1 : 0) * (sequential ? Streams : 1));
        quantizeCost = plan.Quantized.ToDictionary(module => module.Name,
            module => module.Weight.Bytes * (sequential ? SequentialCost(module, samples) : QuantizeCost));
        total = Math.Max(1, forwardCost.Values.Sum() * samples + quantizeCost.Values.Sum());
    }

    /// <summary>
    /// In forward passes of one sample, of 2·T·m·n flops each: moments 3·T·n² per sample for about two modules, factorizations 4·n³,
    /// the column loop and its searches 4·m·n².
    /// </summary>
    static double SequentialCost(PlannedModule module, int samples)
    {
        double n = module.Columns, m = module.Rows;
        return samples * 0.75 * n / m + (2 * n * n / m + 2 * n) / TypicalTokens + QuantizeCost;
    }

    public void Begin(StageLoader stage)
    {
        current = stage;
        index++;
        Report(first, false);
    }

    /// <summary>An earlier run has quantized the stage.</summary>
    public void Skip()
    {
        done += current.Modules.Sum(module => quantizeCost.GetValueOrDefault(module));
        Report(Phase.Quantize, true);
    }

    /// <summary>A sample has run through the stage, or through this share of the work of doing so.</summary>
    public void Ran(bool resumed, double share = 1)
    {
        done += forwardCost[current.Name] * share;
        Report(Phase.Forward, resumed);
    }

    public void Quantized(string module)
    {
        done += quantizeCost[module];
        Report(Phase.Quantize, false);
    }

    void Report(Phase phase, bool resumed) =>
        progress?.Report(new Progress(phase, current.Name, index, stages.Count, Math.Min(1, done / total), resumed));
}
