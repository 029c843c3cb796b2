using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>Text cut into parts.</summary>
static class Splitting
{
    public static ListValue Split(Text self, Arguments arguments, bool fromRight)
    {
        var bound = arguments.Bind(0, "sep", "maxsplit");
        var limit = arguments.Integer(bound[1], -1);
        if (limit < 0)
            limit = int.MaxValue;
        arguments.Budget.Text(self.Value.Length);
        if (bound[0] is null or None)
        {
            var words = fromRight ? Whitespace.SplitRight(self.Value, limit) : Whitespace.Split(self.Value, limit);
            return Texts(words, arguments.Budget);
        }


        var separator = arguments.String(bound[0], "");
        if (separator.Length == 0)
            throw new TemplateFault("empty separator");
        arguments.Budget.Search(self.Value.Length, separator.Length);
        var parts = fromRight ? FromRight(self.Value, separator, limit) : FromLeft(self.Value, separator, limit);
        return Texts(parts, arguments.Budget);
    }

    public static ListValue Lines(Text self, Arguments arguments)
    {
        var keepEnds = Arguments.Flag(arguments.Bind(0, "keepends")[0], false);
        arguments.Budget.Text(self.Value.Length);
        return Texts(Whitespace.Lines(self.Value, keepEnds), arguments.Budget);
    }

    /// <summary>Before, the separator, after; without a separator the whole text is first, or last from the right.</summary>
    public static TupleValue Partition(Text self, Arguments arguments, bool fromRight)
    {
        var separator = arguments.String(arguments.Bind(1, "sep")[0], "");
        if (separator.Length == 0)
            throw new TemplateFault("empty separator");
        arguments.Budget.Text(self.Value.Length);
        arguments.Budget.Search(self.Value.Length, separator.Length);
        var text = self.Value;
        var at = fromRight
            ? text.LastIndexOf(separator, StringComparison.Ordinal)
            : text.IndexOf(separator, StringComparison.Ordinal);
        string[] parts = at >= 0 ? [text[..at], separator, text[(at + separator.Length)..]]
            : fromRight ? ["", "", text] : [text, "", ""];
        return new([.. parts.Select(part => new Text(part))]);
    }

    static List<string> FromLeft(string text, string separator, int limit)
    {
        var parts = new List<string>();
        var start = 0;
        while (parts.Count < limit && text.IndexOf(separator, start, StringComparison.Ordinal) is >= 0 and var at)
        {
            parts.Add(text[start..at]);
            start = at + separator.Length;
        }

        parts.Add(text[start..]);
        return parts;
    }

    static List<string> FromRight(string text, string separator, int limit)
    {
        var parts = new List<string>();
        var end = text.Length;
        while (parts.Count < limit && text.AsSpan(0, end).LastIndexOf(separator, StringComparison.Ordinal) is >= 0 and var at)
        {
            parts.Add(text[(at + separator.Length)..end]);
            end = at;
        }

        parts.Add(text[..end]);
        parts.Reverse();
        return parts;
    }

    static ListValue Texts(List<string> parts, Budget budget)
    {
        budget.Step(parts.Count);
        return new([.. parts.Select(part => new Text(part))]);
    }
}
