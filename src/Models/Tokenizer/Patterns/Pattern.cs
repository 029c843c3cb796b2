namespace Nibble.Models.Tokenizer.Patterns;

/// <summary>A regular expression over code points, compiled once and used from any thread.</summary>
/// <remarks>
/// .NET's own expressions see UTF-16 units, so that <c>\p{L}</c> misses letters beyond U+FFFF, and fold case and white space
/// differently from the engine published tokenizers were trained with.
/// </remarks>
sealed class Pattern
{
    readonly string source;
    readonly Instruction[] program;

    Pattern(string source, Node node)
    {
        this.source = source;
        program = PatternCompiler.Compile(source, node);
    }

    public static Pattern Parse(string source) => new(source, PatternParser.Parse(source));

    /// <summary>Matches these code points and nothing else.</summary>
    public static Pattern Literal(string text)
    {
        var points = Text.Of(text).Points.ToArray();
        return new Pattern(text, new SequenceNode([.. points.Select(point => new SetNode(CharacterSet.Range(point, point)))]));
    }

    /// <summary>Appends every match, from left to right and without overlaps.</summary>
    /// <remarks>An empty match is dropped where the previous match ended, as in Oniguruma's scan.</remarks>
    /// <exception cref="ModelException">The pattern backtracks far more than any tokenizer's does.</exception>
    public void Find(ReadOnlySpan<int> text, List<(int Start, int End)> matches)
    {
        var matcher = new Matcher(program, text, source);
        int from = 0, previousEnd = -1;
        while (from <= text.Length)
        {
            var end = -1;
            var start = from;
            while (start <= text.Length && (end = matcher.MatchAt(start)) < 0)
                start++;
            if (end < 0)
                return;
            if (end == start && end == previousEnd)
            {
                from++;
                continue;
            }
            matches.Add((start, end));
            from = previousEnd = end;
        }
    }
}
