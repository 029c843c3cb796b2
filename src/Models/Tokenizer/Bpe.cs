namespace Nibble.Models.Tokenizer;

/// <param name="WholeFirst">A piece that is a token is taken whole, whatever the merges say (<c>ignore_merges</c>).</param>
/// <param name="Unknown">The id that stands for a code point without a token; without it such code points are dropped.</param>
/// <param name="FuseUnknown">Neighbouring unknown code points become one token.</param>
sealed record BpeOptions(bool WholeFirst, int? Unknown, bool FuseUnknown);

/// <summary>Byte-pair encoding: the <c>model</c> of <c>tokenizer.json</c>. Arithmetic of arXiv:1508.07909, algorithm 1.</summary>
sealed class Bpe
{
    const int LongestCached = 64, LongestScanned = 32; // code points; symbols
    const int Unmergeable = int.MaxValue;

    readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> whole;
    readonly Dictionary<long, (int Rank, int Id)> merges;
    readonly int[] letters = new int[ByteLetters.Last + 1]; // id of the token of one code point, or -1
    readonly PieceCache cache = new();
    readonly BpeOptions options;

    /// <param name="merges">By the ids of left and right (<see cref="Pair"/>): the lower rank goes first.</param>
    public Bpe(Vocabulary vocabulary, Dictionary<long, (int Rank, int Id)> merges, BpeOptions options)
    {
        (this.merges, this.options) = (merges, options);
        whole = vocabulary.Ids.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var point = 0; point < letters.Length; point++)
            letters[point] = vocabulary.Ids.GetValueOrDefault(((char)point).ToString(), -1);
    }

    public static long Pair(int left, int right) => (long)left << 32 | (uint)right;

    /// <summary>Appends the tokens of a piece and the number of its code points each one covers.</summary>
    public void Encode(ReadOnlySpan<int> piece, List<int> ids, List<int> lengths)
    {
        if (piece.Length > LongestCached)
        {
            var (longIds, longLengths) = Encode(piece);
            ids.AddRange(longIds);
            lengths.AddRange(longLengths);
            return;
        }
        var hash = PieceCache.Hash(piece);
        var entry = cache.Find(piece, hash);
        if (entry is null)
        {
            var (newIds, newLengths) = Encode(piece);
            cache.Keep(entry = new PieceCache.Entry(piece.ToArray(), [.. newIds], [.. newLengths]), hash);
        }
        ids.AddRange(entry.Ids.AsSpan());
        lengths.AddRange(entry.Lengths.AsSpan());
    }

    (List<int> Ids, List<int> Lengths) Encode(ReadOnlySpan<int> piece)
    {
        if (options.WholeFirst && WholeToken(piece) is { } id)
            return ([id], [piece.Length]);
        var (ids, lengths) = Symbols(piece);
        return ids.Count <= LongestScanned ? MergeByScan(ids, lengths) : MergeByQueue(ids, lengths);
    }

    int? WholeToken(ReadOnlySpan<int> piece)
    {
        Span<char> text = piece.Length <= LongestCached ? stackalloc char[2 * LongestCached] : new char[2 * piece.Length];
        var length = 0;
        foreach (var point in piece)
            length += new System.Text.Rune(point).EncodeToUtf16(text[length..]);
        return whole.TryGetValue(text[..length], out var id) ? id : null;
    }

    /// <summary>One token per code point. One that has none is unknown or, without an unknown token, dropped.</summary>
    (List<int> Ids, List<int> Lengths) Symbols(ReadOnlySpan<int> piece)
    {
        List<int> ids = new(piece.Length), lengths = new(piece.Length);
        var unknownBefore = false;
        foreach (var point in piece)
        {
            var id = point < letters.Length ? letters[point] : WholeToken([point]) ?? -1;
            if (id < 0 && options.Unknown is { } unknown)
            {
                if (unknownBefore && options.FuseUnknown)
                {
                    lengths[^1]++;
                    continue;
                }
                unknownBefore = true;
                ids.Add(unknown);
                lengths.Add(1);
            }
            else if (id >= 0)
            {
                unknownBefore = false;
                ids.Add(id);
                lengths.Add(1);
            }
        }
        return (ids, lengths);
    }

    int RankOf(int left, int right) => merges.TryGetValue(Pair(left, right), out var merge) ? merge.Rank : Unmergeable;

    /// <summary>The definition: merge the pair of lowest rank, the leftmost of equals, until none is left. Quadratic.</summary>
    internal (List<int> Ids, List<int> Lengths) MergeByScan(List<int> ids, List<int> lengths)
    {
        while (true)
        {
            int best = Unmergeable, at = -1;
            for (var i = 0; i + 1 < ids.Count; i++)
                if (RankOf(ids[i], ids[i + 1]) is var rank && rank < best)
                    (best, at) = (rank, i);
            if (at < 0)
                return (ids, lengths);
            ids[at] = merges[Pair(ids[at], ids[at + 1])].Id;
            lengths[at] += lengths[at + 1];
            ids.RemoveAt(at + 1);
            lengths.RemoveAt(at + 1);
        }
    }

    /// <summary>The same in n log n: a linked list of symbols and a queue of pairs; outdated ones are passed over.</summary>
    internal (List<int> Ids, List<int> Lengths) MergeByQueue(List<int> ids, List<int> lengths)
    {
        var count = ids.Count;
        int[] next = new int[count], previous = new int[count];
        var queue = new PriorityQueue<int, long>(count); // place of the left symbol, by rank and then place
        for (var i = 0; i < count; i++)
            (next[i], previous[i]) = (i + 1 < count ? i + 1 : -1, i - 1);
        for (var i = 0; i + 1 < count; i++)
            Offer(i);
        while (queue.TryDequeue(out var at, out var priority))
        {
            if (lengths[at] == 0 || next[at] < 0 || RankOf(ids[at], ids[next[at]]) != (int)(priority >> 32))
                continue;
            var right = next[at];
            ids[at] = merges[Pair(ids[at], ids[right])].Id;
            lengths[at] += lengths[right];
            lengths[right] = 0; // merged away
            next[at] = next[right];
            if (next[at] >= 0)
                previous[next[at]] = at;
            Offer(at);
            if (previous[at] >= 0)
                Offer(previous[at]);
        }
        List<int> mergedIds = [], mergedLengths = [];
        for (var at = count > 0 ? 0 : -1; at >= 0; at = next[at])
        {
            mergedIds.Add(ids[at]);
            mergedLengths.Add(lengths[at]);
        }
        return (mergedIds, mergedLengths);

        void Offer(int left)
        {
            if (next[left] >= 0 && RankOf(ids[left], ids[next[left]]) is var rank and < Unmergeable)
                queue.Enqueue(left, (long)rank << 32 | (uint)left);
        }
    }
}
