namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>(q - w)ᵀ·H·(q - w): the mean squared output error of rounding w to q under inputs with second moments H.</summary>
static class Quadratic
{
    /// <param name="moments">H [g, g].</param>
    /// <param name="error">Room for g numbers.</param>
    public static double Of(
        ReadOnlySpan<float> weight, ReadOnlySpan<float> rounded, ReadOnlySpan<double> moments, Span<double> error)
    {
        for (var i = 0; i < error.Length; i++)
            error[i] = (double)rounded[i] - weight[i];
        var sum = 0.0;
        for (var i = 0; i < error.Length; i++)
            if (error[i] != 0)
                sum += error[i] * TensorPrimitives.Dot(error, moments.Slice(i * error.Length, error.Length));
        return sum;
    }
}
