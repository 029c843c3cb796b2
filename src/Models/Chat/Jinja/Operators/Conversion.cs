using System.Globalization;
using System.Numerics;
using Nibble.Models.Chat.Jinja.Strings;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary>int() and float().</summary>
static class Conversion
{
    /// <summary>A number without its fraction.</summary>
    public static Integer Truncate(Value value)
    {
        if (Number.IsInteger(value, out var number))
            return new(number);
        var real = Number.Double(value);
        return double.IsFinite(real)
            ? new(new BigInteger(real))
            : throw new TemplateFault($"cannot convert float {(double.IsNaN(real) ? "NaN" : "infinity")} to integer");
    }

    /// <summary>int(text, radix); radix 0 goes by the prefix. Null when the text is no such number.</summary>
    public static BigInteger? Whole(string text, int radix)
    {
        if (radix is not 0 and (< 2 or > 36))
            throw new TemplateFault("int() base must be >= 2 and <= 36, or 0");
        var digits = Whitespace.Trim(text);
        var negative = digits.StartsWith('-');
        if (negative || digits.StartsWith('+'))
            digits = digits[1..];

        var prefix = digits switch
        {
            ['0', 'x' or 'X', ..] => 16,
            ['0', 'o' or 'O', ..] => 8,
            ['0', 'b' or 'B', ..] => 2,
            _ => 0,
        };
        if (prefix != 0 && (radix == 0 || radix == prefix))
            (digits, radix) = (digits[2..].StartsWith('_') ? digits[3..] : digits[2..], prefix);
        else if (radix == 0)
            (radix, digits) = (10, digits.StartsWith('0') && digits.Any(c => c is not ('0' or '_')) ? "" : digits);
        if (digits.Length == 0 || digits.Length > Limits.IntegerBits / 4 || !IsGrouped(digits))
            return null;

        var value = BigInteger.Zero;
        foreach (var c in digits)
            if (c != '_')
            {
                var digit = char.IsAsciiDigit(c) ? c - '0' : char.IsAsciiLetter(c) ? (c | 0x20) - 'a' + 10
                    : char.IsDigit(c) ? (int)char.GetNumericValue(c) : 99;
                if (digit >= radix)
                    return null;
                value = value * radix + digit;
            }

        return negative ? -value : value;
    }

    /// <summary>float(text); null when the text is no number.</summary>
    public static double? Real(string text)
    {
        var trimmed = string.Concat(Whitespace.Trim(text).Select(c =>
            char.IsDigit(c) ? (char)('0' + (int)char.GetNumericValue(c)) : c));
        var bare = trimmed.TrimStart('+', '-').ToLowerInvariant();
        var sign = trimmed.StartsWith('-') ? -1 : 1;
        if (trimmed.Length - bare.Length <= 1 && bare is ("inf" or "infinity" or "nan"))
            return bare == "nan" ? double.NaN : sign * double.PositiveInfinity;
        if (bare.Length == 0 || bare.AsSpan().ContainsAnyExcept("0123456789.e+-_") || !IsGrouped(trimmed))
            return null;
        var isNumber = double.TryParse(trimmed.Replace("_", ""), NumberStyles.Float, CultureInfo.InvariantCulture, out var value);
        return isNumber ? value : null;
    }

    /// <summary>Underscores stand between digits only.</summary>
    static bool IsGrouped(string text)
    {
        for (var at = text.IndexOf('_'); at >= 0; at = text.IndexOf('_', at + 1))
            if (at == 0 || at + 1 == text.Length
                || !char.IsAsciiLetterOrDigit(text[at - 1]) || !char.IsAsciiLetterOrDigit(text[at + 1]))
                return false;
        return true;
    }
}
