using System.Runtime.CompilerServices;
using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>
/// Attention of many queries. The lanes of all vectors are queries: scores, maxima, sums and outputs are kept transposed, so that
/// the softmax needs no sum across lanes. A panel is two vectors of queries; a tile is some panels, against which keys are read
/// once.
/// </summary>
static unsafe class AttentionTiles
{
    const int TileQueries = 64;
    const int TileKeys = 96; // a multiple of the rows of the kernel; with 64 queries of width 128 everything lies in 200 KiB

    public static void Run<V>(AttentionProblem p) where V : struct, IFloats<V>
    {
        var tiles = (p.RowsPerGroup + TileQueries - 1) / TileQueries;
        var nanoseconds = 0.02 * TileQueries * p.Keys * (p.Width + p.ValueWidth);

        // The last tiles of a causal mask see the most keys, so they go first.
        Work.For(checked(tiles * p.Groups), nanoseconds, i =>
            Tile<V>(p, i % p.Groups, (tiles - 1 - i / p.Groups) * TileQueries, new Buffers(Scratch.Floats(Buffers.Size(p)), p)));
    }

    static void Tile<V>(AttentionProblem p, int group, int first, Buffers b) where V : struct, IFloats<V>
    {
        var panel = 2 * V.Count;
        var rows = Math.Min(TileQueries, p.RowsPerGroup - first);
        var used = (rows + panel - 1) / panel * panel;
        Begin<V>(p, group, first, rows, used, b);

        int begin = Smallest(b.From, used), end = Largest(b.To, used);
        for (var key = begin; key < end; key += TileKeys)
        {
            var keys = Math.Min(TileKeys, end - key);
            var isLoaded = false;
            for (var lane = 0; lane < used; lane += panel)
            {
                if (Largest(b.To + lane, panel) <= key || Smallest(b.From + lane, panel) >= key + keys)
                    continue;
                if (!isLoaded)
                    Load(p, group, key, keys, b);
                isLoaded = true;
                Panel<V>(p, lane, key, keys, b);
            }
        }
        End<V>(p, group, first, rows, b);
    }

    /// <summary>Transposes the queries and resets the running values.</summary>
    static void Begin<V>(AttentionProblem p, int group, int first, int rows, int used, Buffers b) where V : struct, IFloats<V>
    {
        var panel = 2 * V.Count;
        new Span<float>(b.Outputs, b.ValuePitch * used).Clear();
        new Span<float>(b.Queries, p.Width * used).Clear();
        for (var m = 0; m < used; m++)
        {
            // Lanes beyond the last query see what that one sees; their results are dropped.
            int row = first + Math.Min(m, rows - 1), query = row / p.HeadsPerGroup;
            var head = group * p.HeadsPerGroup + row % p.HeadsPerGroup;
            (b.From[m], b.To[m]) = p.Mask.Visible(query, p.Queries, p.Keys);
            b.Max[m] = p.Sink(head);
            b.Sum[m] = p.Sinks is null ? 0 : 1;
            if (m >= rows)
                continue;

            var source = (float*)p.Q.Pointer + ((long)query * p.Heads + head) * p.Width;
            var target = b.Queries + m / panel * panel * p.Width + m % panel;
            for (var c = 0; c < p.Width; c++)
                target[c * panel] = source[c] * p.Scale;
        }
    }

    /// <summary>Copies keys and values of one head next to each other, padded with zeros to what the kernel reads.</summary>
    static void Load(AttentionProblem p, int group, int key, int keys, Buffers b)
    {
        for (var j = 0; j < keys; j++)
        {
            var source = (long)(key + j) * p.Groups + group;
            Lanewise.Part(p.K, source * p.Width, p.Width).CopyTo(new Span<float>(b.Keys + j * p.Width, p.Width));
            var values = new Span<float>(b.Values + j * b.ValuePitch, b.ValuePitch);
            Lanewise.Part(p.V, source * p.ValueWidth, p.ValueWidth).CopyTo(values);
            values[p.ValueWidth..].Clear();
        }
        var padding = (keys + Rows - 1) / Rows * Rows - keys;
        new Span<float>(b.Keys + keys * p.Width, padding * p.Width).Clear();
    }

    /// <summary>One panel of queries meets one tile of keys.</summary>
    static void Panel<V>(AttentionProblem p, int lane, int key, int keys, Buffers b) where V : struct, IFloats<V>
    {
        var panel = 2 * V.Count;
        var queries = b.Queries + lane * p.Width;
        for (var j = 0; j < keys; j += Rows)
            Multiply<V>(b.Keys + j * p.Width, p.Width, 1, queries, p.Width, b.Scores + j * panel, null);
        if (p.SoftCap > 0)
            SoftCap.Host<V>(new Span<float>(b.Scores, keys * panel), p.SoftCap);
        if (Largest(b.From + lane, panel) > key || Smallest(b.To + lane, panel) < key + keys)
            Hide<V>(b.From + lane, b.To + lane, key, keys, b.Scores);

        Weigh<V>(b.Scores, keys, b.Max + lane, b.Sum + lane, b.Kept);
        Weigh<V>(b.Scores + V.Count, keys, b.Max + lane + V.Count, b.Sum + lane + V.Count, b.Kept + V.Count);
        for (var c = 0; c < b.ValuePitch; c += Rows)
            Multiply<V>(b.Values + c, 1, b.ValuePitch, b.Scores, keys, b.Outputs + lane * b.ValuePitch + c * panel, b.Kept);
    }

    /// <summary>Scores of keys that a query does not see become negative infinity.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Hide<V>(int* from, int* to, int key, int keys, float* scores) where V : struct, IFloats<V>
    {
        float* begin = stackalloc float[Floats.Widest], end = stackalloc float[Floats.Widest];
        for (var half = 0; half < 2 * V.Count; half += V.Count)
        {
            for (var i = 0; i < V.Count; i++)
            {
                begin[i] = Math.Clamp(from[half + i] - key, 0, keys);
                end[i] = Math.Clamp(to[half + i] - key, 0, keys);
            }
            V hidden = V.Broadcast(float.NegativeInfinity), first = V.Load(ref *begin, 0), last = V.Load(ref *end, 0);
            for (var j = 0; j < keys; j++)
            {
                var position = V.Broadcast(j);
                var score = V.Load(ref *scores, j * 2 * V.Count + half);
                score = V.Select(V.Less(position, last), score, hidden);
                V.Store(V.Select(V.Less(position, first), hidden, score), ref *scores, j * 2 * V.Count + half);
            }
        }
    }

    /// <summary>
    /// Scores of one vector of queries become weights relative to the new maximum; what was summed before counts <c>kept</c>
    /// times.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Weigh<V>(float* scores, int keys, float* max, float* sum, float* kept) where V : struct, IFloats<V>
    {
        V before = V.Load(ref *max, 0), highest = before;
        for (var j = 0; j < keys; j++)
            highest = V.Max(highest, V.Load(ref *scores, j * 2 * V.Count));
        V.Store(highest, ref *max, 0);

        // A query that has seen nothing yet has no maximum to subtract; every weight is then e^-∞ = 0.
        var shift = V.Select(V.Less(highest, V.Broadcast(float.MinValue)), V.Broadcast(0), highest);
        var factor = Exponential.Value(before - shift);
        V.Store(factor, ref *kept, 0);
        var total = V.Load(ref *sum, 0) * factor;
        for (var j = 0; j < keys; j++)
        {
            var weight = Exponential.Value(V.Load(ref *scores, j * 2 * V.Count) - shift);
            V.Store(weight, ref *scores, j * 2 * V.Count);
            total += weight;
        }
        V.Store(total, ref *sum, 0);
    }

    /// <summary>Divides by the sums and transposes back.</summary>
    static void End<V>(AttentionProblem p, int group, int first, int rows, Buffers b) where V : struct, IFloats<V>
    {
        var panel = 2 * V.Count;
        for (var m = 0; m < rows; m++)
        {
            var row = first + m;
            var head = group * p.HeadsPerGroup + row % p.HeadsPerGroup;
            var target = (float*)p.Y.Pointer + ((long)(row / p.HeadsPerGroup) * p.Heads + head) * p.ValueWidth;
            var source = b.Outputs + m / panel * panel * b.ValuePitch + m % panel;
            var share = b.Sum[m] == 0 ? 0 : 1 / b.Sum[m];
            for (var c = 0; c < p.ValueWidth; c++)
                target[c] = source[c * panel] * share;
        }
    }

    const int Rows = 6; // 12 accumulators, 2 operands and a broadcast fit into 16 registers

    /// <summary>
    /// out[i] = Σ_k a[i·row + k·step] · b[k] for six rows i; out[i] and b[k] are panels. With <paramref name="kept"/>,
    /// out[i]·kept is added.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Multiply<V>(float* a, nint row, nint step, float* b, int depth, float* result, float* kept)
        where V : struct, IFloats<V>
    {
        V c00 = V.Broadcast(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
        V c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
        nint row2 = 2 * row, row3 = 3 * row, row4 = 4 * row, row5 = 5 * row;
        for (var k = 0; k < depth; k++, a += step, b += 2 * V.Count)
        {
            V b0 = V.Load(ref *b, 0), b1 = V.Load(ref *b, V.Count);
            var x = V.Broadcast(a[0]);
            c00 = V.MultiplyAdd(x, b0, c00);
            c01 = V.MultiplyAdd(x, b1, c01);
            x = V.Broadcast(a[row]);
            c10 = V.MultiplyAdd(x, b0, c10);
            c11 = V.MultiplyAdd(x, b1, c11);
            x = V.Broadcast(a[row2]);
            c20 = V.MultiplyAdd(x, b0, c20);
            c21 = V.MultiplyAdd(x, b1, c21);
            x = V.Broadcast(a[row3]);
            c30 = V.MultiplyAdd(x, b0, c30);
            c31 = V.MultiplyAdd(x, b1, c31);
            x = V.Broadcast(a[row4]);
            c40 = V.MultiplyAdd(x, b0, c40);
            c41 = V.MultiplyAdd(x, b1, c41);
            x = V.Broadcast(a[row5]);
            c50 = V.MultiplyAdd(x, b0, c50);
            c51 = V.MultiplyAdd(x, b1, c51);
        }

        Put(c00, c01, result, kept);
        Put(c10, c11, result + 2 * V.Count, kept);
        Put(c20, c21, result + 4 * V.Count, kept);
        Put(c30, c31, result + 6 * V.Count, kept);
        Put(c40, c41, result + 8 * V.Count, kept);
        Put(c50, c51, result + 10 * V.Count, kept);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<V>(V left, V right, float* result, float* kept) where V : struct, IFloats<V>
    {
        if (kept is not null)
        {
            left = V.MultiplyAdd(V.Load(ref *result, 0), V.Load(ref *kept, 0), left);
            right = V.MultiplyAdd(V.Load(ref *result, V.Count), V.Load(ref *kept, V.Count), right);
        }
        V.Store(left, ref *result, 0);
        V.Store(right, ref *result, V.Count);
    }

    static int Smallest(int* values, int count) => TensorPrimitives.Min(new ReadOnlySpan<int>(values, count));

    static int Largest(int* values, int count) => TensorPrimitives.Max(new ReadOnlySpan<int>(values, count));

    /// <summary>The working memory of one tile.</summary>
    readonly struct Buffers
    {
        public readonly float* Queries; // [panel][d][lane], multiplied with the scale
        public readonly float* Outputs; // [panel][e][lane], not yet divided by the sums
        public readonly float* Keys; // [key][d]
        public readonly float* Values; // [key][e]
        public readonly float* Scores; // [key][lane] of one panel; then weights
        public readonly float* Max, Sum; // [lane] of all panels
        public readonly float* Kept; // [lane] of one panel
        public readonly int* From, To; // [lane] of all panels
        public readonly int ValuePitch; // e, rounded up to the rows of the kernel

        public Buffers(float* start, AttentionProblem p)
        {
            ValuePitch = Pitch(p);
            Queries = start;
            Outputs = Queries + TileQueries * p.Width;
            Scores = Outputs + TileQueries * ValuePitch;
            Max = Scores + TileKeys * 2 * Floats.Widest;
            Sum = Max + TileQueries;
            Kept = Sum + TileQueries;
            From = (int*)(Kept + TileQueries);
            To = From + TileQueries;
            Keys = (float*)(To + TileQueries);
            Values = Keys + TileKeys * p.Width;
        }

        public static int Size(AttentionProblem p) =>
            checked((TileQueries + TileKeys) * (p.Width + Pitch(p)) + TileKeys * 2 * Floats.Widest + 5 * TileQueries);

        static int Pitch(AttentionProblem p) => (p.ValueWidth + Rows - 1) / Rows * Rows;
    }
}
