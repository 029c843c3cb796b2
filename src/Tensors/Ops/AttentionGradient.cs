namespace Nibble.Tensors.Ops;

/// <summary>
/// Back through <see cref="Attention"/>: with p = softmax(scale · q·kᵀ) of the visible keys and dp = dy·vᵀ,
/// ds = p ⊙ (dp - Σ p ⊙ dp), dq = scale · ds·k, dk = scale · dsᵀ·q, dv = pᵀ·dy; keys and values get the sum over the heads they serve.
/// </summary>
/// <remarks>The probabilities are computed again, one query at a time: no T × S matrix exists.</remarks>
public static class AttentionGradient
{
    /// <param name="q">[T, H, d] F32, as it went in.</param>
    /// <param name="k">[S, G, d] F32.</param>
    /// <param name="v">[S, G, e] F32.</param>
    /// <param name="dy">[T, H, e] F32.</param>
    /// <param name="dq">The shape of <paramref name="q"/>.</param>
    /// <param name="dk">The shape of <paramref name="k"/>.</param>
    /// <param name="dv">The shape of <paramref name="v"/>.</param>
    /// <exception cref="ShapeException">The shapes or the mask do not fit, or a tensor is not F32.</exception>
    public static void Apply(
        Tensor q, Tensor k, Tensor v, Tensor dy, AttentionMask mask, float scale, Tensor dq, Tensor dk, Tensor dv)
    {
        Attention.Check(q, k, v, dy);
        Expect.Same(dq, q);
        Expect.Same(dk, k);
        Expect.Same(dv, v);
        mask.Check((int)q.Shape[0], (int)k.Shape[0]);
        var problem = new AttentionProblem(q, k, v, dy, mask, scale, 0, null);
        dq.Span<float>().Clear();
        dk.Span<float>().Clear();
        dv.Span<float>().Clear();
        var nanoseconds = 0.5 * problem.RowsPerGroup * problem.Keys * (problem.Width + problem.ValueWidth);
        Work.For(problem.Groups, nanoseconds, group => Group(problem, group, dq, dk, dv));
        GC.KeepAlive(problem);
    }

    /// <summary>The heads that share keys: they add to the same rows of dk and dv.</summary>
    static void Group(AttentionProblem p, int group, Tensor dq, Tensor dk, Tensor dv)
    {
        var (weights, slopes) = (new float[p.Keys], new float[p.Keys]);
        for (var row = 0; row < p.RowsPerGroup; row++)
        {
            var (query, head) = (row / p.HeadsPerGroup, group * p.HeadsPerGroup + row % p.HeadsPerGroup);
            var (from, to) = p.Mask.Visible(query, p.Queries, p.Keys);
            if (from >= to)
                continue;
            var at = query * p.Heads + head;
            Span<float> q = Vector(p.Q, at, p.Width), dy = Vector(p.Y, at, p.ValueWidth);
            Span<float> seen = weights.AsSpan(from..to), slope = slopes.AsSpan(from..to);
            for (var s = from; s < to; s++)
            {
                seen[s - from] = p.Scale * TensorPrimitives.Dot<float>(q, Vector(p.K, s * p.Groups + group, p.Width));
                slope[s - from] = TensorPrimitives.Dot<float>(dy, Vector(p.V, s * p.Groups + group, p.ValueWidth));
            }
            Softmax.Host(seen, seen);
            TensorPrimitives.Subtract(slope, TensorPrimitives.Dot<float>(seen, slope), slope);
            TensorPrimitives.Multiply(slope, seen, slope);
            TensorPrimitives.Multiply(slope, p.Scale, slope);

            var toQuery = Vector(dq, at, p.Width);
            for (var s = from; s < to; s++)
            {
                var key = s * p.Groups + group;
                Add(slope[s - from], Vector(p.K, key, p.Width), toQuery);
                Add(slope[s - from], q, Vector(dk, key, p.Width));
                Add(seen[s - from], dy, Vector(dv, key, p.ValueWidth));
            }
        }
    }

    static void Add(float factor, ReadOnlySpan<float> x, Span<float> sum) => TensorPrimitives.MultiplyAdd(x, factor, sum, sum);

    static Span<float> Vector(Tensor tensor, long index, int width) => Lanewise.Part(tensor, index * width, width);

    internal static void Definition(AttentionProblem p, Span<double> dq, Span<double> dk, Span<double> dv)
    {
        ReadOnlySpan<float> q = p.Q.Span<float>(), k = p.K.Span<float>(), v = p.V.Span<float>(), dy = p.Y.Span<float>();
        dq.Clear();
        dk.Clear();
        dv.Clear();
        for (var t = 0; t < p.Queries; t++)
            for (var h = 0; h < p.Heads; h++)
            {
                var (from, to) = p.Mask.Visible(t, p.Queries, p.Keys);
                int Key(int s) => (s * p.Groups + h / p.HeadsPerGroup) * p.Width;
                int Value(int s) => (s * p.Groups + h / p.HeadsPerGroup) * p.ValueWidth;
                int query = (t * p.Heads + h) * p.Width, result = (t * p.Heads + h) * p.ValueWidth;
                var (weights, slopes) = (new double[p.Keys], new double[p.Keys]);
                double max = double.NegativeInfinity, sum = 0, mean = 0;
                for (var s = from; s < to; s++)
                {
                    for (var c = 0; c < p.Width; c++)
                        weights[s] += (double)p.Scale * q[query + c] * k[Key(s) + c];
                    for (var c = 0; c < p.ValueWidth; c++)
                        slopes[s] += (double)dy[result + c] * v[Value(s) + c];
                    max = Math.Max(max, weights[s]);
                }
                for (var s = from; s < to; s++)
                    sum += weights[s] = Math.Exp(weights[s] - max);
                for (var s = from; s < to; s++)
                    mean += (weights[s] /= sum) * slopes[s];
                for (var s = from; s < to; s++)
                {
                    var slope = p.Scale * weights[s] * (slopes[s] - mean);
                    for (var c = 0; c < p.Width; c++)
                    {
                        dq[query + c] += slope * k[Key(s) + c];
                        dk[Key(s) + c] += slope * q[query + c];
                    }
                    for (var c = 0; c < p.ValueWidth; c++)
                        dv[Value(s) + c] += weights[s] * dy[result + c];
                }
            }
    }
}
