using Nibble.Quant.Calibration;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>
/// Scales weighted by μ·h(vision) + (1 − μ)·h(text) with the μ of 0, 0.2, … 1 whose rounding to nearest has the least output error
/// (VLM-PTQ, CVPR 2026). The error of a modality is tr(E·H·Eᵀ) − 2·tr(W·D·Eᵀ), E = Q − W, and a term without Q.
/// </summary>
static class ModalitySearch
{
    const int Steps = 5;

    static readonly CompensationOptions joint = new();

    public static (GroupScale[] Scales, double Mu) Run(
        LayerContext layer, Tensor weight, Tensor target, Grid grid, ScaleFit fit, CompensationOptions options)
    {
        var moments = ((Modality[])[Modality.Vision, Modality.Text]).Select(modality => Of(layer, weight, modality)).ToArray();
        var (best, bestMu, least) = (Array.Empty<GroupScale>(), 0.0, double.PositiveInfinity);
        using var rounded = Tensor.Empty(weight.Shape);
        for (var step = 0; step <= Steps; step++)
        {
            var mu = (double)step / Steps;
            var importance = Enumerable.Range(0, weight.Columns).Select(j => (float)(
                mu * moments[0].Importance(j, options.MeanImportance) + (1 - mu) * moments[1].Importance(j, options.MeanImportance)));
            var scales = fit.Rows(target, [.. importance]);
            new Rounding(grid, weight.Rows, weight.Columns, scales).Nearest(target, rounded);
            for (var row = 0; row < weight.Rows; row++)
                TensorPrimitives.Subtract(rounded.Row(row), weight.Row(row), rounded.Row(row));
            var error = moments.Sum(part => part.Error(rounded, options.BalancedCriterion));
            if (error < least)
                (best, bestMu, least) = (scales, mu, error);
        }
        foreach (var part in moments)
            part.Dispose();
        return (best, bestMu);
    }

    static ModalityMoments Of(LayerContext layer, Tensor weight, Modality modality)
    {
        var inputs = layer.Inputs;
        var h = inputs.SumH(joint, part => part.Modality == modality);
        using var d = inputs.SumD(joint, part => part.Modality == modality);
        var product = d is null ? null : Tensor.Empty(weight.Shape);
        if (d is not null)
            MatMul.Multiply(weight, d, product!);
        return new(h, product, weight, inputs.TokensOf(modality) / (double)inputs.Tokens, layer.OutputEnergy(modality));
    }

    /// <param name="mismatch">W·D, or null.</param>
    /// <param name="share">Of the tokens.</param>
    sealed class ModalityMoments(Tensor h, Tensor? mismatch, Tensor weight, double share, double? energy) : IDisposable
    {
        /// <summary>‖W·x̃‖²; where it is not known, without what is quadratic in x̃ − x, which no moment holds.</summary>
        readonly double energy = energy
            ?? Quadratic(h, weight) + 2 * (mismatch is null ? 0 : WeightShift.Inner(mismatch, weight));

        public double Importance(int column, bool mean) => h.Row(column)[column] / (mean ? share : 1);

        public double Error(Tensor difference, bool relative)
        {
            var error = Quadratic(h, difference) - 2 * (mismatch is null ? 0 : WeightShift.Inner(mismatch, difference));
            return error / (relative ? energy : 1);
        }

        public void Dispose()
        {
            h.Dispose();
            mismatch?.Dispose();
        }

        static double Quadratic(Tensor h, Tensor a)
        {
            using var product = Tensor.Empty(a.Shape);
            MatMul.Multiply(a, h, product);
            return WeightShift.Inner(product, a);
        }
    }
}
