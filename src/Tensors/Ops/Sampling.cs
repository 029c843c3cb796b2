using System.Buffers;

namespace Nibble.Tensors.Ops;

/// <summary>
/// The steps between logits and a token, each a function on logits in place; a removed token's logit is negative infinity.
/// In double, and in the order of Transformers' generate(): penalty, n-grams, temperature, top-k, top-p, min-p, typical-p.
/// </summary>
public static class Sampling
{
    /// <summary>All steps, in order. Without sampling only the first two, which change what is most probable.</summary>
    public static void Apply(SamplingOptions options, Span<double> logits, ReadOnlySpan<int> context)
    {
        RepetitionPenalty(logits, context, options.RepetitionPenalty);
        NoRepeatNgram(logits, context, options.NoRepeatNgramSize);
        if (!options.DoSample || options.Temperature == 0)
            return;
        TensorPrimitives.Divide(logits, options.Temperature, logits);
        TopK(logits, options.TopK);
        TopP(logits, options.TopP);
        MinP(logits, options.MinP);
        TypicalP(logits, options.TypicalP);
    }

    /// <summary>
    /// Positive logits of tokens in the context are divided by the penalty, others multiplied; once per token. arXiv:1909.05858,
    /// section 4.1.
    /// </summary>
    /// <exception cref="ShapeException">A token of the context is none of the logits.</exception>
    public static void RepetitionPenalty(Span<double> logits, ReadOnlySpan<int> context, double penalty)
    {
        if (penalty == 1)
            return;
        var seen = ArrayPool<bool>.Shared.Rent(logits.Length);
        seen.AsSpan(0, logits.Length).Clear();
        foreach (var token in context)
        {
            ref var logit = ref At(logits, token);
            if (!seen[token])
                logit = logit > 0 ? logit / penalty : logit * penalty;
            seen[token] = true;
        }
        ArrayPool<bool>.Shared.Return(seen);
    }

    /// <summary>
    /// Removes tokens that would complete a run of <paramref name="size"/> tokens which the context already has; 0 for none.
    /// </summary>
    /// <exception cref="ShapeException">A token to remove is none of the logits.</exception>
    public static void NoRepeatNgram(Span<double> logits, ReadOnlySpan<int> context, int size)
    {
        if (size == 0 || context.Length < size)
            return;
        var begun = context[^(size - 1)..];
        for (var i = 0; i <= context.Length - size; i++)
            if (context.Slice(i, size - 1).SequenceEqual(begun))
                At(logits, context[i + size - 1]) = double.NegativeInfinity;
    }

    /// <summary>Keeps the k largest and all that equal the smallest of them. 0 keeps all.</summary>
    public static void TopK(Span<double> logits, int k)
    {
        if (k == 0 || k >= logits.Length)
            return;
        var best = new int[k];
        Ops.TopK.Host<double>(logits, best);
        RemoveBelow(logits, logits[best[^1]]);
    }

    /// <summary>
    /// Keeps the smallest set of most probable tokens with at least this mass, at least one. arXiv:1904.09751, section 3.1.
    /// </summary>
    /// <remarks>Of equally probable tokens those with lower ids are kept first.</remarks>
    public static void TopP(Span<double> logits, double mass)
    {
        if (mass >= 1)
            return;
        var probabilities = Probabilities(logits);

        // All tokens below this floor together have less than 1 - mass: none of them is needed, and few are left to sort.
        var floor = (1 - mass) / logits.Length;
        var candidates = new List<int>();
        for (var i = 0; i < probabilities.Length; i++)
            if (probabilities[i] > 0 && probabilities[i] >= floor)
                candidates.Add(i);
        candidates.Sort((a, b) => probabilities[b].CompareTo(probabilities[a]) is var order and not 0 ? order : a.CompareTo(b));

        var kept = new HashSet<int>();
        var sum = 0.0;
        for (var i = 0; i < candidates.Count && (i == 0 || sum < mass); i++)
        {
            kept.Add(candidates[i]);
            sum += probabilities[candidates[i]];
        }
        for (var i = 0; i < logits.Length; i++)
            if (!kept.Contains(i))
                logits[i] = double.NegativeInfinity;
    }

    /// <summary>Keeps tokens at least this share as probable as the most probable. arXiv:2407.01082, section 3.</summary>
    public static void MinP(Span<double> logits, double share)
    {
        if (share == 0)
            return;
        var max = TensorPrimitives.Max<double>(logits);
        foreach (ref var logit in logits)
            if (Math.Exp(logit - max) < share)
                logit = double.NegativeInfinity;
    }

    /// <summary>
    /// Keeps tokens whose information is nearest the entropy, up to this mass, and all that equal the last of them.
    /// arXiv:2202.00666.
    /// </summary>
    public static void TypicalP(Span<double> logits, double mass)
    {
        if (mass >= 1)
            return;
        var probabilities = Probabilities(logits);
        var entropy = 0.0;
        foreach (var p in probabilities)
            entropy -= p > 0 ? p * Math.Log(p) : 0;

        var distances = Array.ConvertAll(probabilities, p => p > 0 ? Math.Abs(-Math.Log(p) - entropy) : double.PositiveInfinity);
        var order = (double[])distances.Clone();
        Array.Sort(order, probabilities);
        var sum = 0.0;
        var last = 0;
        while (last < order.Length - 1 && (sum += probabilities[last]) < mass)
            last++;
        for (var i = 0; i < logits.Length; i++)
            if (distances[i] > order[last])
                logits[i] = double.NegativeInfinity;
    }

    /// <summary>softmax(logits).</summary>
    /// <exception cref="NotFiniteNumberException">A logit is NaN or +∞, or all tokens have been removed.</exception>
    public static double[] Probabilities(ReadOnlySpan<double> logits)
    {
        var max = TensorPrimitives.Max(logits);
        if (!double.IsFinite(max))
            throw new NotFiniteNumberException(double.IsNegativeInfinity(max)
                ? $"Sampling: none of {logits.Length} tokens is left to choose from."
                : $"Sampling: the largest of {logits.Length} logits is {max}.", max);
        var result = new double[logits.Length];
        TensorPrimitives.Subtract(logits, max, result);
        TensorPrimitives.Exp<double>(result, result);
        TensorPrimitives.Divide(result, TensorPrimitives.Sum<double>(result), result);
        return result;
    }

    static void RemoveBelow(Span<double> logits, double least)
    {
        foreach (ref var logit in logits)
            if (logit < least)
                logit = double.NegativeInfinity;
    }

    static ref double At(Span<double> logits, int token)
    {
        if ((uint)token >= (uint)logits.Length)
            throw new ShapeException($"Sampling: token {token} of the context is not one of {logits.Length} logits.");
        return ref logits[token];
    }
}
