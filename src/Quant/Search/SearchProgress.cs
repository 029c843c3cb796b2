using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Search;

/// <summary>How the damage of a scheme is measured.</summary>
public enum SearchMethod
{
    /// <summary>Σ (∂loss/∂y · Δy)² over the outputs of the group's modules: one way back through the network.</summary>
    Gradient,

    /// <summary>Divergence of the predictions with only that group quantized: a run of the rest of the network for each candidate.</summary>
    Divergence,
}

/// <summary>How a search is carried out.</summary>
/// <param name="ActivationBudget">Bytes of hidden states kept in memory; more waits on disk.</param>
/// <param name="SpillFolder">Where it waits.</param>
/// <param name="BatchSize">Samples over whose tokens the loss is averaged: how much a token counts in the gradient score.</param>
public sealed record SearchOptions(long ActivationBudget, string SpillFolder, int BatchSize = 1)
{
    /// <summary>Another simulation than the codes that would be written, of a weight in a scheme with this input scale.</summary>
    internal Func<Tensor, Scheme, float, ILinearWeight>? Simulate { get; init; }
}

/// <summary>One sign of life of a search.</summary>
/// <param name="Done">Work done, 0 to 1, weighted by cost.</param>
public sealed record SearchProgress(string Phase, string Stage, double Done);

/// <summary>Adds up the work of a search. A unit is a stage's weights times a sample.</summary>
sealed class Effort(double total, IProgress<SearchProgress>? progress)
{
    double done;

    public void Add(string phase, string stage, double work)
    {
        done += work;
        progress?.Report(new SearchProgress(phase, stage, Math.Min(1, done / Math.Max(total, 1))));
    }
}
