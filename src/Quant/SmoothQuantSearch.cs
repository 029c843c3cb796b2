using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>
/// α of SmoothQuant by trial: every tenth from 0 to 1, the one of least error of Q(x·s)·Q(W / s)ᵀ on kept rows of calibration, summed
/// over the modules that share the input and so the factors.
/// </summary>
static class SmoothQuantSearch
{
    /// <summary>Where there are no rows to choose by; the paper's default.</summary>
    const float Default = 0.5f;

    /// <param name="modules">Schemes and weights [out, in].</param>
    /// <param name="amax">[in], the largest inputs.</param>
    /// <param name="statistics">Holds the rows.</param>
    public static float Best(
        IReadOnlyList<(Scheme Scheme, Tensor Weight)> modules, ReadOnlySpan<float> amax, LayerStatistics statistics)
    {
        Tensor[] rows = [.. new[] { statistics.Rows(Modality.Text), statistics.Rows(Modality.Vision) }.OfType<Tensor>()];
        if (rows.Length == 0)
            return Default;
        var (best, least) = (Default, double.PositiveInfinity);
        for (var tenth = 0; tenth <= 10; tenth++)
        {
            var loss = Loss(modules, amax, rows, tenth / 10f);
            if (loss < least)
                (best, least) = (tenth / 10f, loss);
        }
        return best;
    }

    static double Loss(IReadOnlyList<(Scheme Scheme, Tensor Weight)> modules, ReadOnlySpan<float> amax, Tensor[] rows, float alpha)
    {
        var factors = new float[amax.Length];
        foreach (var (_, weight) in modules)
            TensorPrimitives.Add(factors, SmoothQuant.Scales(amax, weight, alpha), factors);
        TensorPrimitives.Divide(factors, (float)modules.Count, factors);
        var largest = ChannelScaling.InputAmax(amax, factors);

        var loss = 0.0;
        foreach (var (scheme, weight) in modules)
        {
            using var matrix = ChannelScaling.Divide(weight, factors);
            var quantized = WeightQuantizer.Quantize(matrix, scheme.Weight);
            var packed = new PackedWeight(quantized, scheme.Activation, scheme.Activation!.Scale(largest)) { PreQuantScale = factors };
            loss += rows.Sum(x => Errors.OfOutput(matrix, packed, x) ?? 0);
            quantized.Codes.Dispose();
            quantized.Scales?.Dispose();
        }
        return loss;
    }
}
