namespace Nibble.Models.Tokenizer;

/// <summary>Remembers the tokens of recent pieces. Each piece has one place; a newer one there replaces the older.</summary>
/// <remarks>Entries are immutable and published by one reference write, so that no thread needs a lock.</remarks>
sealed class PieceCache
{
    const int Places = 1 << 15; // at most about 10 MB of English pieces

    readonly Entry?[] places = new Entry?[Places];

    internal sealed record Entry(int[] Piece, int[] Ids, int[] Lengths);

    public static uint Hash(ReadOnlySpan<int> piece)
    {
        var hash = 14695981039346656037UL;
        foreach (var point in piece)
            hash = (hash ^ (uint)point) * 1099511628211UL; // FNV-1a
        return (uint)(hash >> 32);
    }

    public Entry? Find(ReadOnlySpan<int> piece, uint hash)
    {
        var entry = places[hash % Places];
        return entry is not null && piece.SequenceEqual(entry.Piece) ? entry : null;
    }

    public void Keep(Entry entry, uint hash) => places[hash % Places] = entry;
}
