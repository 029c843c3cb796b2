namespace Nibble.Tensors.Ops;

/// <summary>Which keys a query sees: always one run of consecutive keys, which is what lets whole tiles be skipped.</summary>
public abstract class AttentionMask
{
    AttentionMask() { }

    /// <summary>Query t of T sees the keys up to its own position S - T + t: the queries are the last of the sequence.</summary>
    public static AttentionMask Causal { get; } = new Window(int.MaxValue);

    /// <summary>Every query sees every key.</summary>
    public static AttentionMask Full { get; } = new Everything();

    /// <summary>
    /// Causal, and a query sees only itself and the <paramref name="width"/> - 1 keys before it. arXiv:2310.06825, section 2.
    /// </summary>
    /// <exception cref="ShapeException">The width is not positive.</exception>
    public static AttentionMask SlidingWindow(int width) => width > 0 ? new Window(width)
        : throw new ShapeException($"Attention: a sliding window must have a positive width; got {width}.");

    /// <summary>
    /// Queries and keys are the same tokens, cut into blocks; a query sees its own block. Windows and pictures of a vision tower.
    /// </summary>
    /// <param name="cumulativeLengths">0, then the end of each block; the last is T = S.</param>
    /// <exception cref="ShapeException">The list does not begin with 0 or is not ascending.</exception>
    public static AttentionMask Blocks(int[] cumulativeLengths)
    {
        if (cumulativeLengths.Length == 0 || cumulativeLengths[0] != 0)
            throw new ShapeException("Attention: the ends of the blocks must be preceded by 0.");
        for (var i = 1; i < cumulativeLengths.Length; i++)
            if (cumulativeLengths[i] < cumulativeLengths[i - 1])
                throw new ShapeException($"Attention: block {i - 1} would end at {cumulativeLengths[i]}, before it begins.");

        int[] from = new int[cumulativeLengths[^1]], to = new int[from.Length];
        for (var i = 1; i < cumulativeLengths.Length; i++)
        {
            from.AsSpan(cumulativeLengths[i - 1]..cumulativeLengths[i]).Fill(cumulativeLengths[i - 1]);
            to.AsSpan(cumulativeLengths[i - 1]..cumulativeLengths[i]).Fill(cumulativeLengths[i]);
        }
        return new Runs(from, to, isSquare: true);
    }

    /// <summary>
    /// Query t sees the keys from[t] to to[t] - 1. Prefixes and pictures that see themselves both ways; attention in chunks.
    /// </summary>
    /// <param name="from">T first keys, from 0.</param>
    /// <param name="to">T ends, at most S; a query whose end is not after its beginning sees nothing.</param>
    /// <exception cref="ShapeException">The lists differ in length, or a key is negative.</exception>
    public static AttentionMask Ranges(int[] from, int[] to)
    {
        if (from.Length != to.Length)
            throw new ShapeException($"Attention: as many ends as beginnings expected; got {from.Length} and {to.Length}.");
        if (from.Any(key => key < 0))
            throw new ShapeException("Attention: a run of keys cannot begin before key 0.");
        return new Runs([.. from], [.. to], isSquare: false);
    }

    /// <summary>The keys [From, To) that a query sees, within [0, keys).</summary>
    internal abstract (int From, int To) Visible(int query, int queries, int keys);

    /// <exception cref="ShapeException">The mask does not fit this many queries and keys.</exception>
    internal abstract void Check(int queries, int keys);

    sealed class Everything : AttentionMask
    {
        internal override (int From, int To) Visible(int query, int queries, int keys) => (0, keys);

        internal override void Check(int queries, int keys) { }
    }

    sealed class Window(int width) : AttentionMask
    {
        internal override (int From, int To) Visible(int query, int queries, int keys)
        {
            var end = keys - queries + query + 1;
            return (Math.Max(0, end - width), end);
        }

        internal override void Check(int queries, int keys)
        {
            if (queries > keys)
                throw new ShapeException(
                    $"Attention: causal queries are the last of the keys; got {queries} queries, {keys} keys.");
        }
    }

    sealed class Runs(int[] from, int[] to, bool isSquare) : AttentionMask
    {
        internal override (int From, int To) Visible(int query, int queries, int keys) => (from[query], to[query]);

        internal override void Check(int queries, int keys)
        {
            if (queries != from.Length || isSquare && keys != queries)
                throw new ShapeException(
                    $"Attention: the mask is for {from.Length} queries{(isSquare ? " and as many keys" : "")}; " +
                    $"got {queries} queries, {keys} keys.");
            foreach (var end in to)
                if (end > keys)
                    throw new ShapeException($"Attention: the mask shows key {end - 1} of {keys} keys.");
        }
    }
}
