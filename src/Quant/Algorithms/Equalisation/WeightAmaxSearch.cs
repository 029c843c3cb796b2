using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>
/// ModelOpt's <c>mse</c> for weights: every range is multiplied by the factor of least Σ (Q(w) - w)², the first of equals.
/// Factors are spread evenly from start to stop, ceil((stop - start) / step) + 1 of them.
/// </summary>
public static class WeightAmaxSearch
{
    /// <summary>The ranges: [out, groups], [out, 1] or, where a format has one for the matrix, [1, 1].</summary>
    /// <param name="weight">[out, in] of any float type.</param>
    /// <param name="importance">[in], what the squared error of each channel is multiplied with; empty for 1.</param>
    /// <exception cref="QuantizationException">A weight that is no matrix of finite numbers, or a wrong number of channels.</exception>
    public static Tensor Search(Tensor weight, WeightFormat format, double start = 0.25, double stop = 4, double step = 0.1,
        ReadOnlySpan<float> importance = default)
    {
        if (!(start > 0 && stop >= start && step > 0 && (stop - start) / step < 10000))
            throw new ArgumentException($"Factors from {start} to {stop} by {step} expected to be above 0 and fewer than 10000.");
        var rounding = SimulatedRounding.Of(format);
        var matrix = ChannelScaling.Matrix(weight, weight.Columns);
        if (importance.Length != 0 && importance.Length != matrix.Columns)
            throw new QuantizationException($"the importance of {matrix.Columns} inputs expected, found {importance.Length}");
        var weights = importance.ToArray();
        var ranges = rounding.Ranges(matrix);
        var factors = Factors(start, stop, step);
        var least = new double[ranges.Elements];
        Array.Fill(least, double.PositiveInfinity);
        var best = ranges.Clone();
        using var tried = ranges.Clone();
        using var rounded = Tensor.Empty(matrix.Shape);
        foreach (var factor in factors)
        {
            TensorPrimitives.Multiply(ranges.Span<float>(), factor, tried.Span<float>());
            rounding.Round(matrix, tried, rounded);
            var errors = Errors(matrix, rounded, rounding, ranges, weights);
            for (var i = 0; i < least.Length; i++)
                if (errors[i] < least[i])
                    (least[i], best.Span<float>()[i]) = (errors[i], tried.Span<float>()[i]);
        }
        return best;
    }

    /// <summary>
    /// In F32 as torch spreads them, eight at a time and the upper half from the end: codes of INT8 are often ties, which the last bit
    /// of a range decides.
    /// </summary>
    static float[] Factors(double start, double stop, double step)
    {
        const int lanes = 8;
        var count = (int)Math.Ceiling((stop - start) / step) + 1;
        var apart = count == 1 ? 0 : (float)((stop - start) / (count - 1));
        var factors = new float[count];
        for (var i = 0; i < count; i++)
        {
            var first = i / lanes * lanes;
            var origin = first < count / 2 ? (float)start + apart * first : (float)stop - apart * (count - first - 1);
            factors[i] = origin + apart * (i - first);
        }
        return factors;
    }

    static double[] Errors(Tensor weight, Tensor rounded, SimulatedRounding rounding, Tensor ranges, float[] importance)
    {
        var perRow = rounding.RangesPerRow(weight.Columns);
        var errors = new double[weight.Rows * perRow];
        var length = rounding.Group > 0 ? rounding.Group : weight.Columns;
        Threads.For(weight.Rows, 8, (start, end) =>
        {
            for (var row = start; row < end; row++)
                for (var c = 0; c < weight.Columns; c++)
                {
                    var off = (double)rounded.Row(row)[c] - weight.Row(row)[c];
                    errors[row * perRow + c / length] += off * off * (importance.Length == 0 ? 1 : importance[c]);
                }
        });
        return ranges.Elements == 1 ? [errors.Sum()] : errors;
    }
}
