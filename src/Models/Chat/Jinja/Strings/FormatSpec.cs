using System.Globalization;
using System.Numerics;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>How one value is laid out, for <c>%</c> and <c>str.format</c> alike:
/// [[fill]align][sign][#][0][width][,][.precision][type].</summary>
/// <param name="Align">&lt; &gt; ^ =, or NUL for the type's own side, or 0 for a width that began with a zero: = for
/// numbers.</param>
/// <param name="Precision">-1: not given.</param>
/// <param name="Type">NUL: not given.</param>
/// <param name="MinDigits">Of a whole number, which <c>%</c> writes as a precision.</param>
readonly record struct FormatSpec(
    string Fill, char Align, char Sign, bool Alternate, int Width, char Grouping, int Precision, char Type, int MinDigits = 0)
{
    public static FormatSpec Parse(string spec)
    {
        var text = new Text(spec);
        var at = 0;
        var (fill, align, zeroed) = (" ", '\0', false);
        if (text.Count > 1 && "<>^=".Contains(text.At(1)))
            (fill, align, at) = (text.At(0), text.At(1)[0], text.Offset(2));
        else if (spec.Length > 0 && "<>^=".Contains(spec[0]))
            (align, at) = (spec[0], 1);

        var sign = Take(spec, ref at, "+- ");
        var alternate = Take(spec, ref at, "#") != '\0';
        if (Take(spec, ref at, "0") != '\0' && (align == '\0' || fill == " ")) // a side without a fill
            (fill, zeroed) = ("0", align == '\0');
        var width = Digits(spec, ref at);
        var grouping = Take(spec, ref at, ",_");
        var precision = Take(spec, ref at, ".") == '\0' ? -1 : Digits(spec, ref at) is >= 0 and var digits
            ? digits : throw new TemplateFault("Format specifier missing precision");
        var type = at < spec.Length ? spec[at++] : '\0';
        if (at < spec.Length)
            throw new TemplateFault($"Invalid format specifier '{spec}'");
        if (zeroed && type != 's')
            align = '0';
        return new(fill, align, sign, alternate, Math.Max(width, 0), grouping, precision, type);
    }

    public string Apply(Value value, Budget budget)
    {
        if (Precision > Limits.FractionDigits || MinDigits > Limits.FractionDigits)
            throw new TemplateFault(
                $"a format with {Math.Max(Precision, MinDigits)} digits; {Limits.FractionDigits} are allowed");
        if (Type is '\0' or 's' && (value is Text || value is Bool && Type == '\0'))
            return Words(value.Str(budget), budget);
        if (value is Float || Number.Is(value) && Type is not '\0' && "eEfFgG%".Contains(Type))
            return Pad(Real(Number.Double(value)), '>', budget);
        if (Number.IsInteger(value, out var number))
            return Pad(Whole(number), '>', budget);
        throw new TemplateFault($"Unknown format code '{Type}' for object of type '{value.TypeName}'");
    }

    string Words(string text, Budget budget)
    {
        if (Sign != '\0' || Alternate || Align == '=' || Grouping != '\0')
            throw new TemplateFault("Sign, alternate form, '=' and grouping are not allowed in string format specifier");
        return Pad(Cut(text), '<', budget);
    }

    string Cut(string text)
    {
        if (Precision < 0)
            return text;
        var points = new Text(text);
        return points.Between(0, Math.Min(Precision, points.Count));
    }

    string Whole(BigInteger number)
    {
        if (Precision >= 0)
            throw new TemplateFault("Precision not allowed in integer format specifier");
        if (Grouping == ',' && Type is not ('\0' or 'd'))
            throw new TemplateFault($"Cannot specify ',' with '{Type}'.");
        var magnitude = BigInteger.Abs(number);
        var (prefix, digits) = Type switch
        {
            '\0' or 'd' or 'i' or 'n' => ("", magnitude.ToString(CultureInfo.InvariantCulture)),
            'x' => ("0x", Hexadecimal(magnitude, "x")),
            'X' => ("0X", Hexadecimal(magnitude, "X")),
            'o' => ("0o", Octal(magnitude)),
            'b' => ("0b", magnitude.IsZero ? "0" : magnitude.ToString("B", CultureInfo.InvariantCulture).TrimStart('0')),
            'c' => ("", Character(number)),
            _ => throw new TemplateFault($"Unknown format code '{Type}' for object of type 'int'"),
        };
        return Signed(number.Sign < 0) + (Alternate ? prefix : "") + Grouped(digits.PadLeft(MinDigits, '0'));
    }

    string Real(double value)
    {
        var magnitude = Math.Abs(value);
        var digits = Precision < 0 ? 6 : Precision;
        var text = Type switch
        {
            '\0' when Precision < 0 => FloatText.Repr(magnitude),
            '\0' => FloatText.General(magnitude, digits, Alternate, likeRepr: true),
            'g' or 'G' or 'n' => FloatText.General(magnitude, digits, Alternate),
            'f' or 'F' => FloatText.Fixed(magnitude, digits),
            'e' or 'E' => FloatText.Scientific(magnitude, digits),
            '%' => FloatText.Fixed(magnitude * 100, digits) + "%",
            _ => throw new TemplateFault($"Unknown format code '{Type}' for object of type 'float'"),
        };
        if (Alternate && !text.Contains('.') && double.IsFinite(value))
            text = text.Insert(text.AsSpan().IndexOfAny('e', '%') is >= 0 and var end ? end : text.Length, ".");
        if (Type is 'E' or 'G' or 'F')
            text = text.ToUpperInvariant();
        return Signed(double.IsNegative(value) && !double.IsNaN(value)) + Grouped(text);
    }

    string Signed(bool negative) => negative ? "-" : Sign is '+' or ' ' ? Sign.ToString() : "";

    string Grouped(string text)
    {
        if (Grouping == '\0')
            return text;
        if (Align is '=' or '0' && Fill == "0")
            throw new TemplateFault("grouping together with zeros in front is not supported");
        var whole = 0;
        while (whole < text.Length && char.IsAsciiLetterOrDigit(text[whole]) && text[whole] != 'e')
            whole++;
        for (var at = whole - 3; at > 0; at -= 3)
            text = text.Insert(at, Grouping.ToString());
        return text;
    }

    string Pad(string text, char side, Budget budget)
    {
        var missing = Width - new Text(text).Count;
        budget.Text(text.Length + Math.Max(missing, 0L) * Fill.Length);
        if (missing <= 0)
            return text;

        var align = Align == '\0' ? side : Align == '0' ? side == '<' ? '<' : '=' : Align;
        var left = align switch { '<' => 0, '^' => missing / 2, _ => missing };
        var sign = align == '=' && text.Length > 0 && text[0] is '-' or '+' or ' ' ? 1 : 0;
        if (align == '=' && Alternate && Type is 'x' or 'X' or 'o' or 'b')
            sign += 2; // zeros go behind the prefix
        return text[..sign] + Repeat(left) + text[sign..] + Repeat(missing - left);
    }

    string Repeat(int count) => Fill.Length == 1 ? new string(Fill[0], count) : string.Concat(Enumerable.Repeat(Fill, count));

    static string Character(BigInteger number) => number.Sign >= 0 && number < 0x110000
        && System.Text.Rune.TryCreate((uint)number, out var rune)
            ? rune.ToString()
            : throw new TemplateFault("%c arg not in range(0x110000)");

    static string Hexadecimal(BigInteger number, string format) =>
        number.IsZero ? "0" : number.ToString(format, CultureInfo.InvariantCulture).TrimStart('0');

    static string Octal(BigInteger number)
    {
        var digits = new List<char>();
        for (; digits.Count == 0 || !number.IsZero; number /= 8)
            digits.Add((char)('0' + (int)(number % 8)));
        digits.Reverse();
        return new string([.. digits]);
    }

    static char Take(string spec, ref int at, string among) => at < spec.Length && among.Contains(spec[at]) ? spec[at++] : '\0';

    /// <summary>A run of digits, -1 when there is none.</summary>
    static int Digits(string spec, ref int at)
    {
        var start = at;
        while (at < spec.Length && char.IsAsciiDigit(spec[at]))
            at++;
        if (at == start)
            return -1;
        return int.TryParse(spec.AsSpan(start, at - start), CultureInfo.InvariantCulture, out var value)
            ? value
            : throw new TemplateFault("Too many decimal digits in format string");
    }
}
