namespace Nibble.Models.Tokenizer;

/// <summary>Finds added tokens in a text: the earliest match wins, among those the longest.</summary>
sealed class AddedTokenFinder
{
    readonly Dictionary<(int Node, int Point), int> edges = [];  // a trie; node 0 is its root
    readonly List<AddedToken?> ends = [null];                    // the token whose spelling ends at a node
    readonly bool[] begins = new bool[128];                      // the ASCII code points a spelling begins with

    /// <summary>Of two tokens spelled alike the first one counts; an empty spelling is never found.</summary>
    public AddedTokenFinder(IEnumerable<(AddedToken Token, Text Spelling)> tokens)
    {
        foreach (var (token, spelling) in tokens)
            if (spelling.Length > 0)
                Add(token, spelling.Points);
    }

    void Add(AddedToken token, ReadOnlySpan<int> spelling)
    {
        if (spelling[0] < begins.Length)
            begins[spelling[0]] = true;
        var node = 0;
        foreach (var point in spelling)
        {
            if (!edges.TryGetValue((node, point), out var next))
            {
                edges[(node, point)] = next = ends.Count;
                ends.Add(null);
            }
            node = next;
        }
        ends[node] ??= token;
    }

    /// <summary>The text as added tokens and, with a null token, what lies between them.</summary>
    public List<(int Start, int End, AddedToken? Token)> Cut(Text text)
    {
        var cuts = new List<(int Start, int End, AddedToken? Token)>();
        var points = text.Points;
        var done = 0;
        for (var at = 0; at < points.Length;)
        {
            if (LongestAt(points, at, out var length) is not { } token)
            {
                at++;
                continue;
            }
            int start = at, end = at += length;
            if (token.SingleWord && !StandsAlone(points, start, end))
                continue;
            if (token.StripLeft)
                while (start > done && Unicode.IsSpace(points[start - 1]))
                    start--;
            if (token.StripRight)
                while (end < points.Length && Unicode.IsSpace(points[end]))
                    end++;
            if (done < start)
                cuts.Add((done, start, null));
            cuts.Add((start, end, token));
            done = end;
        }
        if (done < points.Length)
            cuts.Add((done, points.Length, null));
        return cuts;
    }

    AddedToken? LongestAt(ReadOnlySpan<int> points, int start, out int length)
    {
        AddedToken? longest = null;
        length = 0;
        if (points[start] < begins.Length && !begins[points[start]])
            return null;
        for (int node = 0, at = start; at < points.Length && edges.TryGetValue((node, points[at]), out node);)
        {
            at++;
            if (ends[node] is not { } token)
                continue;
            longest = token;
            length = at - start;
        }
        return longest;
    }

    static bool StandsAlone(ReadOnlySpan<int> points, int start, int end) =>
        (start == 0 || !Unicode.IsWord(points[start - 1])) && (end == points.Length || !Unicode.IsWord(points[end]));
}
