namespace Nibble.Tensors.Ops;

/// <summary>d/dlogits of scale · Σ -ln softmax(logits)[target]: scale · (softmax(logits) - onehot(target)), row by row.</summary>
public static class CrossEntropyGradient
{
    /// <summary>A row that has no target: it adds nothing to the loss.</summary>
    public const int NoTarget = -1;

    /// <param name="logits">[T, V] F32.</param>
    /// <param name="targets">T tokens, or <see cref="NoTarget"/>.</param>
    /// <param name="scale">1 over the number of targets for their mean.</param>
    /// <param name="d">[T, V]; may be <paramref name="logits"/>.</param>
    /// <exception cref="ShapeException">The shapes do not fit, or a target is out of range.</exception>
    public static void Apply(Tensor logits, ReadOnlySpan<int> targets, double scale, Tensor d)
    {
        Expect.Type(logits, DType.F32);
        Expect.Same(d, logits);
        Expect.Length(targets.Length, logits.Rows);
        var wanted = targets.ToArray();
        foreach (var target in wanted)
            if (target != NoTarget && (uint)target >= (uint)logits.Columns)
                throw new ShapeException($"CrossEntropyGradient: target {target} is not one of {logits.Columns} logits.");
        Work.For(logits.Rows, 1.0 * logits.Columns, row => Host(logits.Row(row), wanted[row], scale, d.Row(row)));
    }

    internal static void Definition(ReadOnlySpan<float> logits, int target, double scale, Span<double> d)
    {
        Softmax.Definition(logits, d);
        var others = 0.0; // 1 - d[target] without the cancellation
        for (var i = 0; i < d.Length; i++)
            others += i == target ? 0 : d[i];
        for (var i = 0; i < d.Length; i++)
            d[i] = target == NoTarget ? 0 : scale * (i == target ? -others : d[i]);
    }

    static void Host(ReadOnlySpan<float> logits, int target, double scale, Span<float> d)
    {
        if (target == NoTarget)
        {
            d.Clear();
            return;
        }
        Softmax.Host(logits, d);
        var others = 1 - d[target]; // what is left for the other tokens, exact where it is more than half
        if (others < 0.5f)
            others = TensorPrimitives.Sum<float>(d[..target]) + TensorPrimitives.Sum<float>(d[(target + 1)..]);
        d[target] = -others;
        TensorPrimitives.Multiply(d, (float)scale, d);
    }
}
