using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>
/// Attention of a few queries, as in decoding. The keys are read once, in the order of memory, by all heads; long sequences are
/// cut into chunks that are worked on independently and then combined, in order.
/// </summary>
static unsafe class AttentionRows
{
    const int Tile = 32; // keys
    const int LeastChunk = 256; // keys; long enough that combining costs nothing
    const int MostChunks = 64;

    public static void Run<V>(AttentionProblem p) where V : struct, IFloats<V>
    {
        var chunk = Math.Max(LeastChunk, (p.Keys + MostChunks - 1) / MostChunks);
        var chunks = Math.Max(1, (p.Keys + chunk - 1) / chunk);
        var rows = p.Queries * p.Heads;

        // Per chunk and row: the running maximum, the running sum, and the weighted sum of values.
        using var partial = Tensor.Empty(chunks, rows, p.ValueWidth + 2);
        var nanoseconds = 0.1 * chunk * rows * (p.Width + p.ValueWidth);
        Work.For(chunks, nanoseconds, i => Chunk<V>(p, i * chunk, Math.Min(p.Keys, (i + 1) * chunk), partial.Slice(i, 1)));
        for (var row = 0; row < rows; row++)
            Combine(p, row, partial);
    }

    static void Chunk<V>(AttentionProblem p, int begin, int end, Tensor partial) where V : struct, IFloats<V>
    {
        for (var row = 0; row < partial.Rows; row++)
        {
            partial.Row(row).Clear();
            partial.Row(row)[0] = float.NegativeInfinity;
        }

        var scores = stackalloc float[Tile];
        for (var tile = begin; tile < end; tile += Tile)
            for (var g = 0; g < p.Groups; g++)
                for (var m = 0; m < p.RowsPerGroup; m++)
                {
                    var query = m / p.HeadsPerGroup;
                    var (from, to) = p.Mask.Visible(query, p.Queries, p.Keys);
                    from = Math.Max(from, tile);
                    to = Math.Min(to, Math.Min(end, tile + Tile));
                    if (from < to)
                        Advance<V>(p, query, g * p.HeadsPerGroup + m % p.HeadsPerGroup, g, from, to - from, scores, partial);
                }
    }

    static void Advance<V>(AttentionProblem p, int query, int head, int group, int from, int count, float* scores, Tensor partial)
        where V : struct, IFloats<V>
    {
        long row = (long)query * p.Heads + head, key = (long)from * p.Groups + group;
        Dots<V>((float*)p.Q.Pointer + row * p.Width, (float*)p.K.Pointer + key * p.Width, (nint)p.Groups * p.Width,
            p.Width, count, scores);
        var span = new Span<float>(scores, count);
        TensorPrimitives.Multiply(span, p.Scale, span);
        if (p.SoftCap > 0)
            SoftCap.Host<V>(span, p.SoftCap);

        var state = partial.Row((int)row);
        var max = MathF.Max(state[0], Reduction.Max<V>(span));
        if (float.IsNegativeInfinity(max))
            return;
        var kept = MathF.Exp(state[0] - max);
        state[0] = max;
        state[1] = state[1] * kept + (float)Softmax.Exponentials<V>(span, max, span);
        fixed (float* sums = state)
            Accumulate<V>(scores, (float*)p.V.Pointer + key * p.ValueWidth, (nint)p.Groups * p.ValueWidth, count, kept, sums + 2,
                p.ValueWidth);
    }

    /// <summary>scores[j] = q · k[j], keys being <paramref name="stride"/> apart; four at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Dots<V>(float* q, float* k, nint stride, int width, int count, float* scores) where V : struct, IFloats<V>
    {
        var j = 0;
        for (; j <= count - 4; j += 4, k += 4 * stride)
        {
            float* k1 = k + stride, k2 = k1 + stride, k3 = k2 + stride;
            V a = V.Broadcast(0), b = a, c = a, d = a;
            var i = 0;
            for (; i <= width - V.Count; i += V.Count)
            {
                var x = V.Load(ref *q, i);
                a = V.MultiplyAdd(x, V.Load(ref *k, i), a);
                b = V.MultiplyAdd(x, V.Load(ref *k1, i), b);
                c = V.MultiplyAdd(x, V.Load(ref *k2, i), c);
                d = V.MultiplyAdd(x, V.Load(ref *k3, i), d);
            }
            float sumA = V.Sum(a), sumB = V.Sum(b), sumC = V.Sum(c), sumD = V.Sum(d);
            for (; i < width; i++)
            {
                sumA += q[i] * k[i];
                sumB += q[i] * k1[i];
                sumC += q[i] * k2[i];
                sumD += q[i] * k3[i];
            }
            (scores[j], scores[j + 1], scores[j + 2], scores[j + 3]) = (sumA, sumB, sumC, sumD);
        }

        for (; j < count; j++, k += stride)
        {
            var a = V.Broadcast(0);
            var i = 0;
            for (; i <= width - V.Count; i += V.Count)
                a = V.MultiplyAdd(V.Load(ref *q, i), V.Load(ref *k, i), a);
            var sum = V.Sum(a);
            for (; i < width; i++)
                sum += q[i] * k[i];
            scores[j] = sum;
        }
    }

    /// <summary>sums = sums · kept + Σ weights[j] · v[j].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Accumulate<V>(float* weights, float* v, nint stride, int count, float kept, float* sums, int width)
        where V : struct, IFloats<V>
    {
        var whole = width / V.Count * V.Count;
        for (var j = 0; j < count; j += 2, kept = 1)
        {
            // The second of the last, odd pair is the first again, with no weight.
            float* first = v + j * stride, second = j + 1 < count ? first + stride : first;
            float weight = weights[j], other = j + 1 < count ? weights[j + 1] : 0;
            V a = V.Broadcast(weight), b = V.Broadcast(other), old = V.Broadcast(kept);
            for (var i = 0; i < whole; i += V.Count)
            {
                var sum = V.MultiplyAdd(V.Load(ref *first, i), a, V.Load(ref *sums, i) * old);
                V.Store(V.MultiplyAdd(V.Load(ref *second, i), b, sum), ref *sums, i);
            }
            for (var i = whole; i < width; i++)
                sums[i] = sums[i] * kept + first[i] * weight + second[i] * other;
        }
    }

    static void Combine(AttentionProblem p, int row, Tensor partial)
    {
        int rows = p.Queries * p.Heads, chunks = (int)partial.Shape[0];
        var sink = p.Sink(row % p.Heads);
        var max = sink;
        for (var i = 0; i < chunks; i++)
            max = MathF.Max(max, partial.Row(i * rows + row)[0]);

        var y = Lanewise.Part(p.Y, (long)row * p.ValueWidth, p.ValueWidth);
        y.Clear();
        if (float.IsNegativeInfinity(max))
            return;
        var sum = MathF.Exp(sink - max);
        for (var i = 0; i < chunks; i++)
        {
            var state = partial.Row(i * rows + row);
            var share = MathF.Exp(state[0] - max);
            sum += state[1] * share;
            TensorPrimitives.MultiplyAdd(state[2..], share, y, y);
        }
        TensorPrimitives.Divide(y, sum, y);
    }
}
