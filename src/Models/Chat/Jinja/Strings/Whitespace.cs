namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>What Python calls white space: Unicode's, and the four separators U+001C to U+001F.</summary>
static class Whitespace
{
    public static bool Is(char c) => char.IsWhiteSpace(c) || c is >= '\x1c' and <= '\x1f';

    public static int TrimmedStart(ReadOnlySpan<char> text)
    {
        var start = 0;
        while (start < text.Length && Is(text[start]))
            start++;
        return start;
    }

    public static int TrimmedEnd(ReadOnlySpan<char> text)
    {
        var end = text.Length;
        while (end > 0 && Is(text[end - 1]))
            end--;
        return end;
    }

    public static string Trim(string text)
    {
        var end = TrimmedEnd(text);
        return text[Math.Min(TrimmedStart(text), end)..end];
    }

    /// <summary>Words between runs of white space, at most <paramref name="limit"/> cuts; what is left stays as it is.</summary>
    public static List<string> Split(string text, int limit)
    {
        var words = new List<string>();
        var at = TrimmedStart(text);
        while (at < text.Length)
        {
            if (words.Count == limit)
            {
                words.Add(text[at..]);
                break;
            }

            var end = at;
            while (end < text.Length && !Is(text[end]))
                end++;
            words.Add(text[at..end]);
            at = end + TrimmedStart(text.AsSpan(end));
        }

        return words;
    }

    /// <summary>As <see cref="Split"/>, cutting from the right.</summary>
    public static List<string> SplitRight(string text, int limit)
    {
        var words = new List<string>();
        var end = TrimmedEnd(text);
        while (end > 0)
        {
            if (words.Count == limit)
            {
                words.Add(text[..end]);
                break;
            }

            var start = end;
            while (start > 0 && !Is(text[start - 1]))
                start--;
            words.Add(text[start..end]);
            end = TrimmedEnd(text.AsSpan(0, start));
        }

        words.Reverse();
        return words;
    }

    /// <summary>Lines without their ends; a last empty line is none.</summary>
    public static List<string> Lines(string text, bool keepEnds = false)
    {
        var lines = new List<string>();
        for (var at = 0; at < text.Length;)
        {
            var end = at;
            while (end < text.Length && !EndsLine(text[end]))
                end++;
            var next = Math.Min(end + (text.AsSpan(end).StartsWith("\r\n") ? 2 : 1), text.Length);
            lines.Add(text[at..(keepEnds ? next : end)]);
            at = next;
        }

        return lines;
    }

    static bool EndsLine(char c) => c is >= '\n' and <= '\r' or >= '\x1c' and <= '\x1e' or '\x85' or '\u2028' or '\u2029';
}
