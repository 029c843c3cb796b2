using Nibble.Models.Tokenizer.Patterns;

namespace Nibble.Models.Tokenizer.PreTokenizers;

/// <summary>Spells every piece in <see cref="ByteLetters"/>, before that optionally cut by GPT-2's own pattern.</summary>
/// <remarks><c>trim_offsets</c> has no effect here, only in the post-processor of the same name.</remarks>
sealed class ByteLevel(bool addPrefixSpace, bool usePattern) : PreTokenizer
{
    static readonly Split words = new(
        Pattern.Parse(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"),
        SplitBehavior.Isolated, invert: false);

    public override Pieces Cut(Pieces pieces)
    {
        if (addPrefixSpace)
            pieces = Rewritten(pieces, Prefixed);
        if (usePattern)
            pieces = words.Cut(pieces);
        return Rewritten(pieces, ByteLetters.Spell);
    }

    /// <summary>A space before a piece that has none; it shares the offsets of the first code point.</summary>
    static void Prefixed(Text text, int start, int end, Text into)
    {
        if (text.Points[start] != ' ')
            into.Add(' ', text, start);
        into.Add(text, start, end);
    }

    static Pieces Rewritten(Pieces pieces, Action<Text, int, int, Text> rewrite)
    {
        var text = new Text(pieces.Text.Aligned, pieces.Text.Length + 16);
        var ranges = new List<(int Start, int End)>(pieces.Ranges.Count);
        foreach (var (start, end) in pieces.Ranges)
        {
            var from = text.Length;
            rewrite(pieces.Text, start, end, text);
            ranges.Add((from, text.Length));
        }
        return new Pieces(text, ranges);
    }
}
