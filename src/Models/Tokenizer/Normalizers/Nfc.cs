namespace Nibble.Models.Tokenizer.Normalizers;

/// <summary>Canonical composition: The Unicode Standard, section 3.11, D108 to D117.</summary>
/// <remarks>
/// <see cref="string.Normalize()"/> returns its input unchanged when the application runs with invariant globalization, so the
/// tables are our own. Offsets follow the original library: what is composed keeps the offsets of the first code point it
/// replaces, and after a reordering marks keep the offsets of their places, not of their characters.
/// </remarks>
sealed class Nfc : Normalizer
{
    readonly NfcTable table = NfcTable.Shared;

    /// <summary>A code point, and how many of the original it stands for beyond one (-1: two parts of one original).</summary>
    record struct Piece(int Point, int Extra);

    public override Text Apply(Text text)
    {
        foreach (var point in text.Points)
            if (table.MayChange(point))
                return Aligned(Compose(Decompose(text.Points)), text);
        return text;
    }

    List<Piece> Decompose(ReadOnlySpan<int> points)
    {
        var pieces = new List<Piece>(points.Length + 16);
        foreach (var point in points)
        {
            var first = pieces.Count;
            AddDecomposed(point, pieces);
            for (var i = first + 1; i < pieces.Count; i++)
                pieces[i] = pieces[i] with { Extra = -1 };
        }
        SortMarks(pieces);
        return pieces;
    }

    void AddDecomposed(int point, List<Piece> pieces)
    {
        var syllable = point - Hangul.SyllableBase;
        if ((uint)syllable < Hangul.Syllables)
        {
            pieces.Add(new Piece(Hangul.LeadBase + syllable / (Hangul.Vowels * Hangul.Trails), 0));
            pieces.Add(new Piece(Hangul.VowelBase + syllable / Hangul.Trails % Hangul.Vowels, 0));
            if (syllable % Hangul.Trails != 0)
                pieces.Add(new Piece(Hangul.TrailBase + syllable % Hangul.Trails, 0));
        }
        else if (table.Decomposes(point, out var parts))
        {
            AddDecomposed(parts.First, pieces);
            if (parts.Second != 0)
                AddDecomposed(parts.Second, pieces);
        }
        else
            pieces.Add(new Piece(point, 0));
    }

    /// <summary>Each run of marks in the order of their combining classes, equal ones as they came.</summary>
    void SortMarks(List<Piece> pieces)
    {
        var run = new List<(byte Class, Piece Piece)>();
        for (var i = 0; i <= pieces.Count; i++)
        {
            var combining = i < pieces.Count ? table.ClassOf(pieces[i].Point) : (byte)0;
            if (combining != 0)
            {
                run.Add((combining, pieces[i]));
                continue;
            }
            var to = i - run.Count;
            if (run.Count > 1)
                foreach (var (_, piece) in run.OrderBy(mark => mark.Class)) // stable
                    pieces[to++] = piece;
            run.Clear();
        }
    }

    List<Piece> Compose(List<Piece> pieces)
    {
        var composed = new List<Piece>(pieces.Count);
        var starter = -1;   // place in composed of the last code point of class 0
        var last = -1;      // class of the code point before this one, when it lies between the starter and this one
        foreach (var piece in pieces)
        {
            var combining = table.ClassOf(piece.Point);
            var reachable = starter >= 0 && (last < 0 || last < combining);
            var point = reachable ? table.Compose(composed[starter].Point, piece.Point) : 0;
            if (point != 0)
            {
                composed[starter] = new Piece(point, composed[starter].Extra + piece.Extra + 1);
                continue;
            }
            if (combining == 0)
                starter = composed.Count;
            last = combining == 0 ? -1 : combining;
            composed.Add(piece);
        }
        return composed;
    }

    static Text Aligned(List<Piece> pieces, Text original)
    {
        var text = new Text(original.Aligned, pieces.Count);
        var at = 0;
        foreach (var (point, extra) in pieces)
        {
            text.Add(point, original, extra < 0 ? Math.Max(at - 1, 0) : at);
            at += 1 + extra;
        }
        return text;
    }
}
