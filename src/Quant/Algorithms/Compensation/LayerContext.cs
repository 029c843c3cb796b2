using Nibble.Quant.Calibration;
using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>
/// Moments of some of a module's input tokens. x is the input in the model that is quantized so far, x̃ in the original one. All parts
/// are divided by the same T, the tokens of all parts together, so that they add up.
/// </summary>
/// <param name="Modality">Of these tokens; null where the two were not kept apart.</param>
/// <param name="Fold">0 or 1, by sample: what is fitted on one fold is judged on the other.</param>
/// <param name="H">Σ x·xᵀ / T, [in, in] F32, symmetric.</param>
/// <param name="D">Σ (x̃ − x)·xᵀ / T, [in, in] F32; null where x̃ = x.</param>
/// <param name="Tokens">How many tokens these are.</param>
public sealed record MomentPart(Modality? Modality, int Fold, Tensor H, Tensor? D, long Tokens);

/// <summary>What is known about the inputs of a module, or of several that have the same input.</summary>
public sealed record InputMoments(IReadOnlyList<MomentPart> Parts) : IDisposable
{
    /// <summary>T.</summary>
    public long Tokens => Parts.Sum(part => part.Tokens);

    public long TokensOf(Modality modality) => Parts.Where(part => part.Modality == modality).Sum(part => part.Tokens);

    /// <summary>Releases the matrices of all parts.</summary>
    public void Dispose()
    {
        foreach (var part in Parts)
        {
            part.H.Dispose();
            part.D?.Dispose();
        }
    }

    /// <summary>Whether each modality has tokens of its own.</summary>
    internal bool HasBothModalities => Parts.All(part => part.Modality is not null)
        && TokensOf(Modality.Text) > 0 && TokensOf(Modality.Vision) > 0;

    /// <summary>
    /// What a part counts: 1, or share · T / N with the N tokens of its modality, so that each modality counts for its share.
    /// </summary>
    internal double Weight(MomentPart part, CompensationOptions options) =>
        options.Weighting == HessianWeighting.Balanced && HasBothModalities
            ? (part.Modality == Modality.Text ? options.TextShare : 1 - options.TextShare) * Tokens / TokensOf(part.Modality!.Value) : 1;

    /// <summary>The weighted sum of the parts' H.</summary>
    internal Tensor SumH(CompensationOptions options, Func<MomentPart, bool>? where = null) => Sum(part => part.H, options, where)!;

    /// <summary>The weighted sum of the parts' D; null where no part has one.</summary>
    internal Tensor? SumD(CompensationOptions options, Func<MomentPart, bool>? where = null) => Sum(part => part.D, options, where);

    Tensor? Sum(Func<MomentPart, Tensor?> matrix, CompensationOptions options, Func<MomentPart, bool>? where)
    {
        Tensor? sum = null;
        foreach (var part in Parts)
        {
            if (where?.Invoke(part) == false || matrix(part) is not { } term)
                continue;
            sum ??= Tensor.Zeros(term.Shape);
            var weight = (float)Weight(part, options);
            for (var row = 0; row < sum.Rows; row++)
                TensorPrimitives.MultiplyAdd(term.Row(row), weight, sum.Row(row), sum.Row(row));
        }
        return sum;
    }
}

/// <summary>All that an algorithm sees of a module.</summary>
/// <param name="Name">For errors.</param>
/// <param name="Weight">[out, in] of any plain float type.</param>
public sealed record LayerContext(string Name, Tensor Weight, InputMoments Inputs)
{
    /// <summary>
    /// Σ‖W·x̃‖² / T of each part of the inputs; null to estimate it without what is quadratic in x̃ − x. Only
    /// <see cref="CompensationOptions.BalancedCriterion"/> needs it.
    /// </summary>
    public IReadOnlyList<double>? OutputEnergies { get; init; }

    /// <summary>The same of a modality, or null.</summary>
    internal double? OutputEnergy(Modality modality) =>
        OutputEnergies?.Where((_, part) => Inputs.Parts[part].Modality == modality).Sum();
}
