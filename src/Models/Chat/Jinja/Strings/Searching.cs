using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>Text within text; indices in code points.</summary>
static class Searching
{
    /// <summary>-1 when it does not occur.</summary>
    public static int Find(Text self, Arguments arguments, bool last)
    {
        var bound = arguments.Bind(1, "sub", "start", "end");
        var part = arguments.String(bound[0], "");
        var (start, end) = Window(self, bound[1], bound[2], arguments);
        if (start > end)
            return -1;
        arguments.Budget.Search(end - start, part.Length);
        var window = self.Value.AsSpan(start, end - start);
        var found = last ? window.LastIndexOf(part, StringComparison.Ordinal) : window.IndexOf(part, StringComparison.Ordinal);
        return found < 0 ? -1 : self.IndexOf(start + found);
    }

    public static Integer Index(Text self, Arguments arguments, bool last)
    {
        var found = Find(self, arguments, last);
        return found >= 0 ? new(found) : throw new TemplateFault("substring not found");
    }

    public static Integer Count(Text self, Arguments arguments)
    {
        var bound = arguments.Bind(1, "sub", "start", "end");
        var part = arguments.String(bound[0], "");
        var (start, end) = Window(self, bound[1], bound[2], arguments);
        if (start > end)
            return new(0);
        if (part.Length == 0)
            return new(self.IndexOf(end) - self.IndexOf(start) + 1);
        arguments.Budget.Search(end - start, part.Length);
        return new(self.Value.AsSpan(start, end - start).Count(part));
    }

    /// <summary>startswith and endswith: one text or a tuple of them.</summary>
    public static Bool Meets(Text self, Arguments arguments, Func<string, string, bool> meets)
    {
        var bound = arguments.Bind(1, "prefix", "start", "end");
        var (start, end) = Window(self, bound[1], bound[2], arguments);
        if (start > end)
            return Bool.False;
        var window = start == 0 && end == self.Value.Length ? self.Value : self.Value[start..end];
        var parts = bound[0] is TupleValue tuple ? tuple.Values : [bound[0]!];
        return Bool.Of(parts.Any(part => meets(window, arguments.String(part, ""))));
    }

    /// <summary>UTF-16 offsets of text[start:end]; the first is beyond the second when the window lies outside the
    /// text.</summary>
    static (int Start, int End) Window(Text self, Value? start, Value? end, Arguments arguments)
    {
        if (start is null && end is null)
            return (0, self.Value.Length);
        var first = Clamp(arguments.Integer(start, 0), self.Count);
        var last = Math.Min(Clamp(arguments.Integer(end, int.MaxValue), self.Count), self.Count);
        return first > self.Count ? (1, 0) : first > last ? (1, 0) : (self.Offset(first), self.Offset(last));
    }

    static int Clamp(int index, int count) => index < 0 ? Math.Max(index + count, 0) : index;
}
