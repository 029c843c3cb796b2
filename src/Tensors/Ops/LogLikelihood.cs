namespace Nibble.Tensors.Ops;

/// <summary>ln P(token) under softmax(logits), in nats.</summary>
public static class LogLikelihood
{
    /// <param name="logits">One position's logits; the maximum is subtracted, so any magnitude will do.</param>
    /// <exception cref="ShapeException">The token is none of the logits.</exception>
    public static double Of(ReadOnlySpan<float> logits, int token)
    {
        if ((uint)token >= (uint)logits.Length)
            throw new ShapeException($"LogLikelihood: token {token} is not one of {logits.Length} logits.");
        var mass = LogSumExp.Of(logits);
        return logits[token] - mass.Max - mass.LogSum;
    }

    /// <param name="logits">[T, V] F32.</param>
    /// <param name="tokens">T tokens; row t says how probable token t is.</param>
    /// <returns>T log-probabilities.</returns>
    /// <exception cref="ShapeException">The lengths differ, or a token is out of range.</exception>
    public static double[] Of(Tensor logits, ReadOnlySpan<int> tokens)
    {
        Expect.Type(logits, DType.F32);
        Expect.Length(tokens.Length, logits.Rows);
        var wanted = tokens.ToArray();
        foreach (var token in wanted)
            if ((uint)token >= (uint)logits.Columns)
                throw new ShapeException($"LogLikelihood: token {token} is not one of {logits.Columns} logits.");

        var result = new double[wanted.Length];
        Work.For(wanted.Length, 2.0 * logits.Columns, row => result[row] = Of(logits.Row(row), wanted[row]));
        return result;
    }

    internal static double Definition(ReadOnlySpan<float> logits, int token)
    {
        double max = double.NegativeInfinity, sum = 0;
        foreach (var value in logits)
            max = Math.Max(max, value);
        foreach (var value in logits)
            sum += Math.Exp(value - max);
        return logits[token] - max - Math.Log(sum);
    }
}
