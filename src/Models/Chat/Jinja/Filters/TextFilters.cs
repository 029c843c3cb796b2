using System.Text;
using Nibble.Models.Chat.Jinja.Strings;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

/// <summary>Filters that turn anything's text into other text.</summary>
static class TextFilters
{
    public static Value String(Value input, Arguments a)
    {
        a.Bind(0);
        return Of(input, a);
    }

    public static Value Lower(Value input, Arguments a) => Changed(input, a, CaseMapping.Lower);
    public static Value Upper(Value input, Arguments a) => Changed(input, a, CaseMapping.Upper);
    public static Value Capitalize(Value input, Arguments a) => Changed(input, a, CaseMapping.Capitalize);

    /// <summary>Words begin behind white space, hyphens and opening brackets; an apostrophe does not begin one.</summary>
    public static Value Title(Value input, Arguments a) => Changed(input, a, text =>
    {
        var result = new StringBuilder(text.Length);
        for (var at = 0; at < text.Length;)
        {
            var end = at;
            while (end < text.Length && !BeginsWord(text[end]))
                end++;
            if (end > at)
                result.Append(TitleWord(text[at..end]));
            if (end < text.Length)
                result.Append(text[end]);
            at = end + 1;
        }

        return result.ToString();
    });

    public static Value Trim(Value input, Arguments a)
    {
        var among = a.Bind(0, "chars")[0] is { } given and not None ? a.String(given, "") : null;
        var result = Stripping.Strip(input.Str(a.Budget), among, start: true, end: true);
        a.Budget.Text(result.Length);
        return new Text(result);
    }

    public static Value Replace(Value input, Arguments a)
    {
        var bound = a.Bind(2, "old", "new", "count");
        return Replacing.Apply(Of(input, a), bound[0]!.Str(a.Budget), bound[1]!.Str(a.Budget), a.Integer(bound[2], -1), a.Budget);
    }

    public static Value Center(Value input, Arguments a)
    {
        var text = Of(input, a);
        var width = a.Integer(a.Bind(0, "width")[0], 80);
        return Padding.Center(text, Math.Max(width - text.Count, 0), " ", a.Budget);
    }

    public static Value Format(Value input, Arguments a)
    {
        if (a.Positional.Count > 0 && a.Keywords.Count > 0)
            throw new TemplateFault("can't handle positional and keyword arguments at the same time");
        Value values = a.Keywords.Count > 0
            ? new DictValue(a.Keywords.Select(pair => ((Value)new Text(pair.Key), pair.Value)), a.Budget)
            : new TupleValue(a.Positional);
        return PercentFormat.Apply(input.Str(a.Budget), values, a.Budget);
    }

    /// <summary>Lines behind the first are moved right; empty ones only with <c>blank</c>.</summary>
    public static Value Indent(Value input, Arguments a)
    {
        var bound = a.Bind(0, "width", "first", "blank");
        var margin = bound[0] is Text text ? text.Value : null;
        var width = margin?.Length ?? Math.Max(a.Integer(bound[0], 4), 0);
        a.Budget.Text(width);
        margin ??= new string(' ', width);
        var blank = Arguments.Flag(bound[2], false);

        var result = new Writer(a.Budget);
        var lines = Whitespace.Lines(a.String(input, "") + "\n");
        for (var i = 0; i < lines.Count; i++)
        {
            if (i > 0)
                result.Append('\n');
            if (i == 0 ? Arguments.Flag(bound[1], false) : blank || lines[i].Length > 0)
                result.Append(margin);
            result.Append(lines[i]);
        }

        return new Text(result.ToString());
    }

    /// <summary>Cut to a length, at a space unless <c>killwords</c>; a few characters too many (<c>leeway</c>) are let
    /// through.</summary>
    public static Value Truncate(Value input, Arguments a)
    {
        var bound = a.Bind(0, "length", "killwords", "end", "leeway");
        var length = a.Integer(bound[0], 255);
        var end = new Text(a.String(bound[2], "..."));
        var leeway = a.Integer(bound[3], 5);
        if (length < end.Count)
            throw new TemplateFault($"expected length >= {end.Count}, got {length}");
        if (leeway < 0)
            throw new TemplateFault($"expected leeway >= 0, got {leeway}");
        if (input.Length is { } count && count <= (long)length + leeway)
            return input;

        var text = input as Text ?? throw new TemplateFault($"cannot truncate '{input.TypeName}'");
        var kept = text.Between(0, length - end.Count);
        if (!Arguments.Flag(bound[1], false) && kept.LastIndexOf(' ') is >= 0 and var space)
            kept = kept[..space];
        a.Budget.Text(kept.Length + end.Value.Length);
        return new Text(kept + end.Value);
    }

    public static Value WordCount(Value input, Arguments a)
    {
        a.Bind(0);
        var (count, inWord) = (0, false);
        foreach (var rune in input.Str(a.Budget).EnumerateRunes())
        {
            var word = CharacterClass.IsWord(rune);
            if (word && !inWord)
                count++;
            inWord = word;
        }

        return new Integer(count);
    }

    static bool BeginsWord(char c) => c is '-' or '(' or '{' or '[' or '<' || Whitespace.Is(c);

    static string TitleWord(string word)
    {
        var first = char.IsHighSurrogate(word[0]) && word.Length > 1 ? 2 : 1;
        return CaseMapping.Upper(word[..first]) + CaseMapping.Lower(word[first..]);
    }

    static Text Of(Value input, Arguments a) => input as Text ?? new Text(input.Str(a.Budget));

    static Text Changed(Value input, Arguments a, Func<string, string> change)
    {
        a.Bind(0);
        var text = input.Str(a.Budget);
        a.Budget.Text(text.Length);
        return new(change(text));
    }
}
