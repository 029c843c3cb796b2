namespace Nibble.Tensors.Ops;

/// <summary>
/// ln Σ e^x = max x + ln Σ e^(x - max x), the two terms apart. In double: evaluations take small differences of it.
/// </summary>
static class LogSumExp
{
    const int Piece = 512;

    /// <returns>
    /// Of a row with +∞, (+∞, NaN); with NaN, NaN in both; of negative infinities alone, (-∞, NaN).
    /// </returns>
    public static (double Max, double LogSum) Of(ReadOnlySpan<float> x)
    {
        var max = (double)Max(x);
        Span<double> piece = stackalloc double[Piece];
        var sum = 0.0;
        for (var start = 0; start < x.Length; start += Piece)
        {
            var part = x[start..Math.Min(x.Length, start + Piece)];
            sum += TensorPrimitives.Sum<double>(Exponentials(part, max, piece));
        }
        return (max, Math.Log(sum));
    }

    /// <summary>e^(x - max) for a piece of a row.</summary>
    public static ReadOnlySpan<double> Exponentials(ReadOnlySpan<float> x, double max, Span<double> scratch)
    {
        var result = scratch[..x.Length];
        TensorPrimitives.ConvertTruncating<float, double>(x, result);
        TensorPrimitives.Subtract(result, max, result);
        TensorPrimitives.Exp<double>(result, result);
        return result;
    }

    static float Max(ReadOnlySpan<float> x) => Floats.Width switch
    {
        16 => Reduction.Max<Floats16>(x),
        8 => Reduction.Max<Floats8>(x),
        _ => Reduction.Max<Floats4>(x),
    };
}
