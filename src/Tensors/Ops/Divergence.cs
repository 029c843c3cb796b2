namespace Nibble.Tensors.Ops;

/// <summary>KL(P‖Q) = Σ p · (ln p - ln q) in nats, P and Q being the softmax of two rows of logits.</summary>
/// <remarks>
/// Computed in double with the maxima subtracted, so that large logits do not overflow and small divergences do not drown in
/// rounding. Where p = 0 nothing is added, whatever q is. Where q = 0 and p is not, the divergence is +∞. A row without mass (all
/// -∞), with NaN or with +∞ gives NaN.
/// </remarks>
public static class Divergence
{
    const int Piece = 512;

    /// <param name="p">[T, V] F32: logits of the reference.</param>
    /// <param name="q">[T, V] F32: logits of what is judged.</param>
    /// <returns>T divergences.</returns>
    /// <exception cref="ShapeException">The shapes differ, or a tensor is not F32.</exception>
    public static double[] Of(Tensor p, Tensor q)
    {
        Expect.Type(p, DType.F32);
        Expect.Same(q, p);
        var result = new double[p.Rows];
        Work.For(result.Length, 6.0 * p.Columns, row => result[row] = Of(p.Row(row), q.Row(row)));
        return result;
    }

    /// <param name="p">One position's logits of the reference.</param>
    /// <param name="q">As many, of what is judged.</param>
    /// <exception cref="ShapeException">The lengths differ.</exception>
    public static double Of(ReadOnlySpan<float> p, ReadOnlySpan<float> q)
    {
        Expect.Length(q.Length, p.Length);
        (double Max, double LogSum) massP = LogSumExp.Of(p), massQ = LogSumExp.Of(q);
        Span<double> scratch = stackalloc double[Piece];
        var sum = 0.0; // Σ e^(p - max p) · ((p - max p) - (q - max q))
        for (var start = 0; start < p.Length; start += Piece)
        {
            var length = Math.Min(Piece, p.Length - start);
            var weights = LogSumExp.Exponentials(p.Slice(start, length), massP.Max, scratch);
            for (var i = 0; i < length; i++)
                if (weights[i] != 0)
                    sum += weights[i] * (p[start + i] - massP.Max - (q[start + i] - massQ.Max));
        }
        var divergence = sum / Math.Exp(massP.LogSum) - massP.LogSum + massQ.LogSum;
        return Math.Max(divergence, 0); // rounding may leave -1e-16; a NaN stays
    }

    internal static double Definition(ReadOnlySpan<float> p, ReadOnlySpan<float> q)
    {
        var divergence = 0.0;
        for (var i = 0; i < p.Length; i++)
        {
            double logP = LogLikelihood.Definition(p, i), logQ = LogLikelihood.Definition(q, i);
            if (Math.Exp(logP) != 0)
                divergence += Math.Exp(logP) * (logP - logQ);
        }
        return divergence;
    }
}
