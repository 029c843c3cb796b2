using System.Text;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>Text without what stands at its ends.</summary>
static class Stripping
{
    public static Text Strip(Text self, Arguments arguments, bool start, bool end)
    {
        var given = arguments.Bind(0, "chars")[0];
        var result = Strip(self.Value, given is null or None ? null : arguments.String(given, ""), start, end);
        arguments.Budget.Text(result.Length);
        return new(result);
    }

    /// <param name="among">The code points to remove; null for white space.</param>
    public static string Strip(string text, string? among, bool start, bool end)
    {
        if (among is null)
        {
            var last = end ? Whitespace.TrimmedEnd(text) : text.Length;
            return text[(start ? Math.Min(Whitespace.TrimmedStart(text), last) : 0)..last];
        }

        HashSet<Rune> removed = [.. among.EnumerateRunes()];
        var (from, to) = (0, text.Length);
        while (start && from < to && Rune.DecodeFromUtf16(text.AsSpan(from, to - from), out var rune, out var used) == 0
            && removed.Contains(rune))
            from += used;
        while (end && to > from && Rune.DecodeLastFromUtf16(text.AsSpan(from, to - from), out var rune, out var used) == 0
            && removed.Contains(rune))
            to -= used;
        return text[from..to];
    }

    public static Text Prefix(Text self, Arguments arguments)
    {
        var prefix = arguments.String(arguments.Bind(1, "prefix")[0], "");
        return self.Value.StartsWith(prefix, StringComparison.Ordinal) ? new(self.Value[prefix.Length..]) : self;
    }

    public static Text Suffix(Text self, Arguments arguments)
    {
        var suffix = arguments.String(arguments.Bind(1, "suffix")[0], "");
        return self.Value.EndsWith(suffix, StringComparison.Ordinal) ? new(self.Value[..^suffix.Length]) : self;
    }
}
