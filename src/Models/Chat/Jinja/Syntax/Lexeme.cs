using System.Globalization;
using System.Text;

namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>One token inside a tag: a name, a number, a string or an operator.</summary>
static class Lexeme
{
    static readonly string[] Pairs = ["//", "**", "==", "!=", ">=", "<="];

    public static (TokenKind Kind, string Text, int End) Read(string source, int at, int line)
    {
        var c = source[at];
        if (char.IsAsciiDigit(c))
            return Number(source, at, line);
        if (c == '_' || char.IsLetter(c))
            return Name(source, at);
        if (c is '\'' or '"')
            return String(source, at, line);
        foreach (var pair in Pairs)
            if (string.CompareOrdinal(source, at, pair, 0, 2) == 0)
                return (TokenKind.Operator, pair, at + 2);
        if ("+-/*%~[](){}><=.:|,;".Contains(c))
            return (TokenKind.Operator, c.ToString(), at + 1);
        throw new TemplateFault($"unexpected character '{c}'", line);
    }

    static (TokenKind, string, int) Name(string source, int at)
    {
        var end = at;
        while (end < source.Length && (source[end] == '_' || char.IsLetterOrDigit(source[end])))
            end++;
        return (TokenKind.Name, source[at..end], end);
    }

    /// <summary><c>1_000</c>, <c>0x1f</c>, <c>0b1</c>, <c>0o7</c>, <c>1.5</c>, <c>1e3</c>. A number after a dot is a whole
    /// one: <c>a.0.1</c>.</summary>
    static (TokenKind, string, int) Number(string source, int at, int line)
    {
        if (source[at] == '0' && at + 2 < source.Length && char.ToLowerInvariant(source[at + 1]) is 'x' or 'b' or 'o')
        {
            Predicate<char> digit = char.ToLowerInvariant(source[at + 1]) switch
            {
                'x' => char.IsAsciiHexDigit,
                'o' => c => c is >= '0' and <= '7',
                _ => c => c is '0' or '1',
            };
            var stop = Digits(source, source[at + 2] == '_' ? at + 3 : at + 2, digit);
            if (stop > at + 2)
                return (TokenKind.Integer, source[at..stop].Replace("_", "").ToLowerInvariant(), stop);
        }

        var end = Digits(source, at, char.IsAsciiDigit);
        var kind = TokenKind.Integer;
        if (at == 0 || source[at - 1] != '.')
        {
            if (end + 1 < source.Length && source[end] == '.' && char.IsAsciiDigit(source[end + 1]))
                (kind, end) = (TokenKind.Float, Digits(source, end + 1, char.IsAsciiDigit));
            if (Exponent(source, end) is var exponent and > 0)
                (kind, end) = (TokenKind.Float, exponent);
        }

        var text = source[at..end].Replace("_", "");
        if (kind == TokenKind.Integer && text.Length > 1 && text[0] == '0' && text.Any(c => c != '0'))
            throw new TemplateFault($"a whole number may not begin with 0: '{text}'", line);
        if (text.Length > Limits.IntegerBits / 4)
            throw new TemplateFault($"a number of {text.Length} digits", line);
        return (kind, text, end);
    }

    /// <summary>The end of <c>e+12</c> at this position, or 0.</summary>
    static int Exponent(string source, int at)
    {
        if (at >= source.Length || source[at] is not ('e' or 'E'))
            return 0;
        var digits = at + 1 < source.Length && source[at + 1] is '+' or '-' ? at + 2 : at + 1;
        return digits < source.Length && char.IsAsciiDigit(source[digits]) ? Digits(source, digits, char.IsAsciiDigit) : 0;
    }

    /// <summary>The end of a run of digits in which single underscores may stand between two of them.</summary>
    static int Digits(string source, int at, Predicate<char> digit)
    {
        while (at < source.Length && (digit(source[at])
            || source[at] == '_' && at + 1 < source.Length && digit(source[at - 1]) && digit(source[at + 1])))
            at++;
        return at;
    }

    /// <summary>A string with Python's escapes.</summary>
    static (TokenKind, string, int) String(string source, int start, int line)
    {
        var text = new StringBuilder();
        var at = start + 1;
        while (at < source.Length && source[at] != source[start])
            if (source[at] != '\\')
                text.Append(source[at++]);
            else if (at + 1 < source.Length)
                at = Escape(source, at + 1, text, line);
            else
                at++;
        return at < source.Length
            ? (TokenKind.String, text.ToString(), at + 1)
            : throw new TemplateFault($"a string is not closed: unexpected char '{source[start]}'", line);
    }

    /// <summary>Appends what stands behind a backslash; an unknown letter keeps its backslash.</summary>
    static int Escape(string source, int at, StringBuilder text, int line)
    {
        const string letters = "abfnrtv\\'\"\n", values = "\a\b\f\n\r\t\v\\'\"";
        var c = source[at];
        var known = letters.IndexOf(c);
        if (c == '\n')
            return at + 1;
        if (known >= 0)
        {
            text.Append(values[known]);
            return at + 1;
        }

        if (c is >= '0' and <= '7')
        {
            var value = 0;
            var end = at;
            for (; end < source.Length && end < at + 3 && source[end] is >= '0' and <= '7'; end++)
                value = value * 8 + (source[end] - '0');
            text.Append((char)value);
            return end;
        }

        var length = c switch { 'x' => 2, 'u' => 4, 'U' => 8, _ => 0 };
        if (length == 0)
        {
            text.Append('\\');
            return at; // the character itself comes next, as ordinary text
        }

        var digits = source.AsSpan(at + 1, Math.Min(length, source.Length - at - 1));
        if (digits.Length < length
            || !uint.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code))
            throw new TemplateFault($"'\\{c}' needs {length} hexadecimal digits", line);
        if (length == 4 && code is >= 0xD800 and < 0xE000)
            text.Append((char)code); // half of a pair; the other half is the next escape
        else if (Rune.TryCreate(code, out var rune))
            text.Append(rune.ToString());
        else
            throw new TemplateFault($"'\\{c}{digits}' is not a character", line);
        return at + 1 + length;
    }
}
