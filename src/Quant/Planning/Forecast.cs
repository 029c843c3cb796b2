using System.Diagnostics;
using Nibble.Models;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Planning;

/// <summary>The limits a run has to keep.</summary>
/// <param name="FreeDiskBytes">Where the output goes; null when no folder was named.</param>
/// <param name="MemoryBytes">What this process may use.</param>
/// <param name="ActivationBudget">Bytes of hidden states in memory.</param>
/// <param name="Tokens">Calibration tokens, 0 without data.</param>
public sealed record RunLimits(long? FreeDiskBytes, long MemoryBytes, long ActivationBudget, long Tokens);

/// <summary>What a plan will cost on this machine.</summary>
/// <param name="PeakBytes">Largest stage + activations + what a run needs anyway.</param>
/// <param name="Seconds">From a short probe of this machine's speed.</param>
/// <param name="Obstacles">Why it cannot fit; empty when it can.</param>
public sealed record Forecast(long PeakBytes, double Seconds, IReadOnlyList<string> Obstacles)
{
    /// <summary>
    /// What a run needs beside weights and activations. On shapes-vlm, whose weights hardly count, the resident set peaks at 69 MB without
    /// and 137 MB with calibration (perf/log.md).
    /// </summary>
    const long BaseBytes = 150 << 20;

    public bool Fits => Obstacles.Count == 0;

    public static Forecast Of(Plan plan, INetwork network, RunLimits limits)
    {
        var stageBytes = plan.Modules.GroupBy(module => module.Stage)
            .Select(stage => stage.Sum(module => module.Weight.Bytes)).DefaultIfEmpty(0).Max();
        var width = plan.Modules.Select(module => module.Columns).DefaultIfEmpty(0).Max();
        var activations = plan.NeedsData ? Math.Min(limits.ActivationBudget, limits.Tokens * width * sizeof(float)) : 0;
        var peak = BaseBytes + stageBytes + activations + plan.Quantized.Select(module => module.BytesAfter).DefaultIfEmpty(0).Max()
            + plan.Quantized.Select(module => AlgorithmBytes(plan.Recipe, module)).DefaultIfEmpty(0).Max()
            + RotationBytes(plan) + (plan.Recipe.Algorithm.IsSequential() && network.Stages.Any(stage => stage.SharedInputs.Count > 0) ? limits.ActivationBudget : 0);

        var obstacles = new List<string>();
        if (peak > limits.MemoryBytes)
            obstacles.Add($"About {peak:N0} bytes of memory are needed and {limits.MemoryBytes:N0} are there. " +
                $"The largest stage alone has {stageBytes:N0}; a smaller --activation-budget saves up to {activations:N0}.");
        if (limits.FreeDiskBytes is { } free && plan.BytesAfter > free)
            obstacles.Add($"{plan.BytesAfter:N0} bytes will be written and {free:N0} are free on that disk.");
        return new Forecast(peak, EstimateSeconds(plan, network, limits.Tokens), obstacles);
    }

    /// <summary>A rotated tensor is no longer a file's: a table of embeddings is in memory, or a matrix as F32 while it is turned.</summary>
    static long RotationBytes(Plan plan) => plan.Recipe.Rotation == Rotation.None ? 0
        : Math.Max(plan.Copied.Select(tensor => tensor.Bytes).DefaultIfEmpty(0).Max(),
            plan.Modules.Select(module => sizeof(float) * module.Weight.Shape.Elements).DefaultIfEmpty(0).Max());

    /// <summary>The matrices an algorithm holds for one module and those that share its inputs.</summary>
    static long AlgorithmBytes(Recipe recipe, PlannedModule module)
    {
        if (!recipe.Algorithm.IsSequential())
            return WeightRounding.Bytes(recipe, module);
        var options = recipe.Algorithm.Compensation();
        var square = (long)module.Columns * module.Columns * sizeof(float);
        var factors = MomentSums.NeedsCross(options) ? CrossFactors : Factors;
        return MomentSums.Bytes(module.Columns, options) + factors * square
            + (3 + 2 * module.Group.Count) * (long)module.Rows * module.Columns * sizeof(float);
    }

    /// <summary>n×n matrices at once while a module is solved: H + λI and U; with cross moments D, and the same of one fold.</summary>
    const int Factors = 2, CrossFactors = 5;

    static double EstimateSeconds(Plan plan, INetwork network, long tokens)
    {
        var seconds = plan.Quantized.GroupBy(module => module.Scheme!.Weight)
            .Sum(group => group.Sum(module => (double)module.Rows * module.Columns) / EncodedPerSecond(group.Key));
        if (plan.NeedsData && network.Stages.Count > 0)
            seconds += ForwardFlops(plan, tokens) / FlopsPerSecond();
        return seconds + plan.Copied.Sum(tensor => tensor.Bytes) / CopiedBytesPerSecond;
    }

    /// <summary>Running the samples, and for sequential algorithms moments, factorizations and column loops as well.</summary>
    static double ForwardFlops(Plan plan, long tokens)
    {
        var forward = plan.Quantized.Sum(module => 2.0 * module.Rows * module.Columns * tokens);
        if (!plan.Recipe.Algorithm.IsSequential())
            return forward * (plan.SeesRounding ? 2 : 1) + plan.Quantized.Sum(module => SearchFlops(plan.Recipe, module, tokens));
        return 2 * forward + plan.Quantized.Sum(module =>
            (double)module.Columns * module.Columns * (3.0 * tokens / module.Group.Count + 4.0 * module.Columns + SolverProducts(plan.Recipe.Algorithm) * module.Rows));
    }

    /// <summary>Flops of a solver in units of m·n².</summary>
    static double SolverProducts(Algorithm algorithm) => algorithm == Algorithm.Best ? 60 : 8;

    /// <summary>Second moments of inputs, a product with them for every α, and a decomposition.</summary>
    static double SearchFlops(Recipe recipe, PlannedModule module, long tokens)
    {
        if (!WeightRounding.Needs(recipe, module).Awq)
            return 0;
        var square = (double)module.Columns * module.Columns;
        var steps = recipe.Options.Awq == AwqMode.Clip ? 0 : Math.Floor(1 / recipe.Options.AwqStep + 0.5) + 1;
        var clips = recipe.Options.Awq == AwqMode.Lite ? 0 : 11;
        return square * tokens / module.Group.Count + 2 * (steps + clips) * square * module.Rows
            + (module.LowRank > 0 ? 4.0 * module.Rows * module.Columns * Math.Min(module.Rows, module.Columns) : 0);
    }

    /// <summary>A cautious figure for one disk; copying is the smallest part of a run.</summary>
    const double CopiedBytesPerSecond = 500e6;

    static double EncodedPerSecond(WeightFormat format)
    {
        using var weight = Tensor.Zeros(512, 2048);
        weight.Span<float>().Fill(0.5f);
        return Rate(weight.Elements, () => WeightQuantizer.Quantize(weight, format, 0.5f, "probe").Codes.Dispose());
    }

    static double FlopsPerSecond()
    {
        using var x = Tensor.Zeros(256, 1024);
        using var w = Tensor.Zeros(1024, 1024);
        using var y = Tensor.Empty(256, 1024);
        return Rate(2.0 * 256 * 1024 * 1024, () => MatMul.Apply(x, w, y));
    }

    /// <summary>Amount per second, the best of three after one run to warm up.</summary>
    static double Rate(double amount, Action work)
    {
        work();
        var best = double.MaxValue;
        for (var i = 0; i < 3; i++)
        {
            var clock = Stopwatch.StartNew();
            work();
            best = Math.Min(best, clock.Elapsed.TotalSeconds);
        }
        return amount / Math.Max(best, 1e-9);
    }
}
