using Nibble.Models.Tokenizer.Patterns;

namespace Nibble.Models.Tokenizer.PreTokenizers;

/// <summary>What becomes of the text a pattern matched.</summary>
enum SplitBehavior
{
    /// <summary>It is dropped.</summary>
    Removed,
    /// <summary>Each match is a piece.</summary>
    Isolated,
    /// <summary>It ends the piece before it.</summary>
    MergedWithPrevious,
    /// <summary>It begins the piece after it.</summary>
    MergedWithNext,
    /// <summary>Neighbouring matches are one piece.</summary>
    Contiguous,
}

/// <summary>Cuts at the matches of a pattern or, inverted, at what lies between them.</summary>
sealed class Split(Pattern pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    record struct Part(int Start, int End, bool Matched);

    public static SplitBehavior ReadBehavior(Field field) => field.Text() switch
    {
        "Removed" => SplitBehavior.Removed,
        "Isolated" => SplitBehavior.Isolated,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        "Contiguous" => SplitBehavior.Contiguous,
        _ => throw field.Wrong("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous"),
    };

    public override Pieces Cut(Pieces pieces)
    {
        var ranges = new List<(int Start, int End)>(pieces.Ranges.Count);
        var matches = new List<(int Start, int End)>();
        var parts = new List<Part>();
        foreach (var (start, end) in pieces.Ranges)
        {
            matches.Clear();
            parts.Clear();
            pattern.Find(pieces.Text.Points[start..end], matches);
            Divide(matches, end - start, parts);
            foreach (var part in Arranged(parts))
                if (part.End > part.Start)
                    ranges.Add((start + part.Start, start + part.End));
        }
        return pieces with { Ranges = ranges };
    }

    /// <summary>The whole text as matches and what lies between, after inversion.</summary>
    void Divide(List<(int Start, int End)> matches, int length, List<Part> parts)
    {
        var done = 0;
        foreach (var (start, end) in matches)
        {
            if (start > done)
                parts.Add(new Part(done, start, invert));
            parts.Add(new Part(start, end, !invert));
            done = end;
        }
        if (done < length)
            parts.Add(new Part(done, length, invert));
    }

    IEnumerable<Part> Arranged(List<Part> parts) => behavior switch
    {
        SplitBehavior.Isolated => parts,
        SplitBehavior.Removed => parts.Where(part => !part.Matched),
        SplitBehavior.Contiguous => Joined(parts, (previous, part) => previous == part),
        SplitBehavior.MergedWithPrevious => Joined(parts, (previous, part) => part && !previous),
        _ => Joined(parts, (previous, part) => previous && !part),
    };

    /// <summary>Neighbours joined where a rule over (the one before is a match, this one is a match) says so.</summary>
    static List<Part> Joined(List<Part> parts, Func<bool, bool, bool> join)
    {
        var joined = new List<Part>();
        var previous = false;
        foreach (var part in parts)
        {
            if (joined.Count > 0 && join(previous, part.Matched))
                joined[^1] = joined[^1] with { End = part.End };
            else
                joined.Add(part);
            previous = part.Matched;
        }
        return joined;
    }
}
