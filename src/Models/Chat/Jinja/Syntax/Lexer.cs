using Nibble.Models.Chat.Jinja.Strings;

namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>Splits a template into text and tags, and decides which white space around the tags is text.</summary>
/// <remarks>As Transformers sets Jinja up: trim_blocks (a newline right after a block tag or a comment is dropped), lstrip_blocks
/// (white space between the start of a line and a block tag or a comment is dropped), one newline at the very end is dropped.
/// <c>-</c> at a tag's edge strips all white space there, <c>+</c> switches the two rules off.</remarks>
sealed class Lexer
{
    readonly string source;
    readonly List<Token> tokens = [];
    int position;
    int line = 1;
    bool atLineStart = true; // what came before the current text ended with a newline

    Lexer(string source) => this.source = source;

    public static IReadOnlyList<Token> Tokenize(string source)
    {
        var normal = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        var lexer = new Lexer(normal.EndsWith('\n') ? normal[..^1] : normal);
        lexer.Root();
        lexer.Add(TokenKind.End, "");
        return lexer.tokens;
    }

    void Root()
    {
        while (position < source.Length)
        {
            var tag = NextTag();
            if (tag < 0)
            {
                Emit(source[position..]);
                position = source.Length;
                return;
            }

            var kind = source[tag + 1];
            var start = tag + 2;
            var sign = IsSign(start) ? source[start++] : ' ';
            Emit(Trimmed(source[position..tag], sign, lineRule: kind != '{'));
            Advance(tag);
            if (kind == '#')
                Comment(start);
            else if (kind == '%' && RawBegin(start) is var raw and >= 0)
                Raw(raw);
            else
                Tag(start, block: kind == '%');
        }
    }

    int NextTag()
    {
        for (var at = position; (at = source.IndexOf('{', at)) >= 0 && at + 1 < source.Length; at++)
            if (source[at + 1] is '{' or '%' or '#')
                return at;
        return -1;
    }

    /// <summary>Text before a tag without what the tag strips.</summary>
    string Trimmed(string text, char sign, bool lineRule)
    {
        if (sign == '-')
            return text[..Whitespace.TrimmedEnd(text)];
        if (sign == '+' || !lineRule)
            return text;

        var lineStart = text.LastIndexOf('\n') + 1;
        return (lineStart > 0 || atLineStart) && Whitespace.TrimmedEnd(text) <= lineStart ? text[..lineStart] : text;
    }

    void Comment(int start)
    {
        if (start == source.Length) // as Jinja: what opens with the last characters is no error
        {
            Advance(start);
            return;
        }

        var end = source.IndexOf("#}", start, StringComparison.Ordinal);
        if (end < 0)
            throw new TemplateFault("a comment is not closed: '#}' is missing", line);
        Close(end > start && IsSign(end - 1) ? end - 1 : end, "#}", trimNewline: true);
    }

    /// <summary>Position after <c>{% raw %}</c>, or -1 when this block is another one.</summary>
    int RawBegin(int start)
    {
        var at = SkipSpace(start);
        if (string.CompareOrdinal(source, at, "raw", 0, 3) != 0)
            return -1;
        at = SkipSpace(at + 3);
        if (string.CompareOrdinal(source, at, "-%}", 0, 3) == 0)
            return SkipSpace(at + 3);
        return string.CompareOrdinal(source, at, "%}", 0, 2) == 0 ? at + 2 : -1;
    }

    void Raw(int start)
    {
        Advance(start);
        for (var at = start; (at = source.IndexOf("{%", at, StringComparison.Ordinal)) >= 0; at += 2)
        {
            var name = at + 2;
            var sign = IsSign(name) ? source[name++] : ' ';
            name = SkipSpace(name);
            if (string.CompareOrdinal(source, name, "endraw", 0, 6) != 0)
                continue;
            var end = SkipSpace(name + 6);
            if (!Closes(end, "%}", plus: true))
                continue;

            Emit(Trimmed(source[start..at], sign, lineRule: true));
            Close(end, "%}", trimNewline: true);
            return;
        }

        throw new TemplateFault("'{% raw %}' is not closed by '{% endraw %}'", line);
    }

    void Tag(int start, bool block)
    {
        Add(block ? TokenKind.BlockBegin : TokenKind.PrintBegin, "");
        Advance(start);
        var close = block ? "%}" : "}}";
        var open = new Stack<char>();
        while (position < source.Length)
        {
            if (open.Count == 0 && Closes(position, close, plus: block))
            {
                Add(block ? TokenKind.BlockEnd : TokenKind.PrintEnd, "");
                Close(position, close, trimNewline: block);
                return;
            }

            if (Whitespace.Is(source[position]))
            {
                Advance(position + 1);
                continue;
            }

            var (kind, text, end) = Lexeme.Read(source, position, line);
            if (kind == TokenKind.Operator)
                Balance(open, text[0]);
            Add(kind, text);
            Advance(end);
        }
    }

    void Balance(Stack<char> open, char bracket)
    {
        if (bracket is '(' or '[' or '{')
            open.Push(bracket == '(' ? ')' : bracket == '[' ? ']' : '}');
        else if (bracket is ')' or ']' or '}')
        {
            if (open.Count == 0)
                throw new TemplateFault($"unexpected '{bracket}'", line);
            var expected = open.Pop();
            if (expected != bracket)
                throw new TemplateFault($"unexpected '{bracket}', expected '{expected}'", line);
        }
    }

    bool Closes(int at, string close, bool plus)
    {
        var sign = at < source.Length && (source[at] == '-' || plus && source[at] == '+') ? 1 : 0;
        return string.CompareOrdinal(source, at + sign, close, 0, 2) == 0;
    }

    /// <summary>Moves behind a closing mark, its sign and the white space it strips.</summary>
    void Close(int at, string close, bool trimNewline)
    {
        var sign = IsSign(at) ? source[at] : ' ';
        var end = at + (sign == ' ' ? 0 : 1) + close.Length;
        if (sign == '-')
            end = SkipSpace(end);
        else if (sign == ' ' && trimNewline && end < source.Length && source[end] == '\n')
            end++;
        Advance(end);
    }

    bool IsSign(int at) => at < source.Length && source[at] is ('-' or '+');

    int SkipSpace(int at)
    {
        while (at < source.Length && Whitespace.Is(source[at]))
            at++;
        return at;
    }

    void Advance(int to)
    {
        line += source.AsSpan(position, to - position).Count('\n');
        if (to > position)
            atLineStart = source[to - 1] == '\n';
        position = to;
    }

    void Emit(string text)
    {
        if (text.Length > 0)
            Add(TokenKind.Data, text);
    }

    void Add(TokenKind kind, string text) => tokens.Add(new(kind, text, line));
}
