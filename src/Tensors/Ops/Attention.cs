namespace Nibble.Tensors.Ops;

/// <summary>
/// y = softmax(scale · q·kᵀ, over the visible keys) · v, head by head. arXiv:1706.03762, equation 1; G of the H query heads' keys
/// and values are shared by H / G heads each, arXiv:2305.13245.
/// </summary>
/// <remarks>
/// The T × S matrix never exists: keys are visited in tiles with a running maximum and sum, arXiv:1805.02867, algorithm 3. A
/// value of a key that a query does not see must still be finite: it may be multiplied with zero.
/// </remarks>
public static class Attention
{
    /// <param name="q">[T, H, d] F32.</param>
    /// <param name="k">[S, G, d] F32, H a multiple of G.</param>
    /// <param name="v">[S, G, e] F32; e is mostly d.</param>
    /// <param name="y">[T, H, e] F32, none of the inputs. A query that sees no key gets zeros.</param>
    /// <param name="mask">The keys each query sees.</param>
    /// <param name="scale">Multiplies the scores, 1/√d mostly.</param>
    /// <param name="softCap">A score s becomes softCap · tanh(s / softCap); 0 for none. arXiv:2408.00118, section 2.</param>
    /// <param name="sinks">
    /// [H] F32: one more score per head, whose key has the value zero; or null. arXiv:2508.10925.
    /// </param>
    /// <exception cref="ShapeException">The shapes or the mask do not fit, or a tensor is not F32.</exception>
    public static void Apply(Tensor q, Tensor k, Tensor v, Tensor y, AttentionMask mask, float scale, float softCap = 0,
        Tensor? sinks = null)
    {
        Check(q, k, v, y);
        if (sinks is not null)
        {
            Expect.Type(sinks, DType.F32);
            Expect.Elements(sinks, q.Shape[1]);
        }
        mask.Check((int)q.Shape[0], (int)k.Shape[0]);
        if (y.Elements == 0)
            return;

        var problem = new AttentionProblem(q, k, v, y, mask, scale, softCap, sinks);
        if (Floats.Width == 16)
            Host<Floats16>(problem);
        else if (Floats.Width == 8)
            Host<Floats8>(problem);
        else
            Host<Floats4>(problem);
    }

    internal static void Host<V>(AttentionProblem problem) where V : struct, IFloats<V>
    {
        // Queries are the lanes of the tiles. Too few would leave most lanes idle, while a key is then best read only once.
        if (problem.RowsPerGroup < Floats.Widest)
            AttentionRows.Run<V>(problem);
        else
            AttentionTiles.Run<V>(problem);
        GC.KeepAlive(problem);
    }

    internal static void Definition(AttentionProblem p, Span<double> y)
    {
        ReadOnlySpan<float> q = p.Q.Span<float>(), k = p.K.Span<float>(), v = p.V.Span<float>();
        var weights = new double[p.Keys];
        y.Clear();
        for (var t = 0; t < p.Queries; t++)
            for (var h = 0; h < p.Heads; h++)
            {
                var g = h / p.HeadsPerGroup;
                var (from, to) = p.Mask.Visible(t, p.Queries, p.Keys);
                var max = p.Sinks is null ? double.NegativeInfinity : p.Sinks.Span<float>()[h];
                for (var s = from; s < to; s++)
                {
                    var score = 0.0;
                    for (var c = 0; c < p.Width; c++)
                        score += (double)q[(t * p.Heads + h) * p.Width + c] * k[(s * p.Groups + g) * p.Width + c];
                    score *= p.Scale;
                    weights[s] = p.SoftCap > 0 ? p.SoftCap * Math.Tanh(score / p.SoftCap) : score;
                    max = Math.Max(max, weights[s]);
                }

                var sum = p.Sinks is null ? 0 : Math.Exp(p.Sinks.Span<float>()[h] - max);
                for (var s = from; s < to; s++)
                    sum += weights[s] = Math.Exp(weights[s] - max);
                for (var s = from; s < to; s++)
                    for (var c = 0; c < p.ValueWidth; c++)
                        y[(t * p.Heads + h) * p.ValueWidth + c] += weights[s] / sum * v[(s * p.Groups + g) * p.ValueWidth + c];
            }
    }

    internal static void Check(Tensor q, Tensor k, Tensor v, Tensor y)
    {
        Expect.Type(q, DType.F32);
        Expect.Type(k, DType.F32);
        Expect.Type(v, DType.F32);
        Expect.Type(y, DType.F32);
        Expect.Length(q.Shape.Rank, 3);
        Expect.Length(k.Shape.Rank, 3);
        Expect.Length(v.Shape.Rank, 3);
        Expect.Shape(k, new Shape(k.Shape[0], k.Shape[1], q.Shape[2]));
        Expect.Shape(v, new Shape(k.Shape[0], k.Shape[1], v.Shape[2]));
        Expect.Shape(y, new Shape(q.Shape[0], q.Shape[1], v.Shape[2]));
        if (k.Shape[1] == 0 || q.Shape[1] % k.Shape[1] != 0)
            throw new ShapeException($"Attention: the heads of q must be a multiple of those of k; got q = {q}, k = {k}.");
    }
}

/// <summary>The arguments of one attention. Holding the tensors, it keeps them alive while their addresses are in use.</summary>
sealed class AttentionProblem(Tensor q, Tensor k, Tensor v, Tensor y, AttentionMask mask, float scale, float softCap,
    Tensor? sinks)
{
    public Tensor Q => q;

    public Tensor K => k;

    public Tensor V => v;

    public Tensor Y => y;

    public AttentionMask Mask => mask;

    public float Scale => scale;

    public float SoftCap => softCap;

    public Tensor? Sinks => sinks;

    /// <summary>T.</summary>
    public int Queries { get; } = (int)q.Shape[0];

    /// <summary>S.</summary>
    public int Keys { get; } = (int)k.Shape[0];

    /// <summary>H.</summary>
    public int Heads { get; } = (int)q.Shape[1];

    /// <summary>G.</summary>
    public int Groups { get; } = (int)k.Shape[1];

    /// <summary>d.</summary>
    public int Width { get; } = (int)q.Shape[2];

    /// <summary>e, the width of a head of v and y.</summary>
    public int ValueWidth { get; } = (int)v.Shape[2];

    public int HeadsPerGroup => Heads / Groups;

    /// <summary>Query rows that look at the same keys: row m is query m / HeadsPerGroup.</summary>
    public int RowsPerGroup => Queries * HeadsPerGroup;

    /// <summary>The sink of a head, negative infinity for none.</summary>
    public float Sink(int head) => sinks is null ? float.NegativeInfinity : sinks.Span<float>()[head];
}
