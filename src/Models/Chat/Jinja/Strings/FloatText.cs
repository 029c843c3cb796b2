using System.Globalization;
using System.Numerics;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>Doubles as text, as Python writes them.</summary>
static class FloatText
{
    /// <summary>The shortest digits that read back as the same number; an exponent below 1e-4 and from 1e16 on.</summary>
    public static string Repr(double value)
    {
        if (!double.IsFinite(value))
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";

        var (sign, digits, point) = Digits(value.ToString("R", CultureInfo.InvariantCulture));
        if (point is > 16 or < -3)
            return sign + digits[..1] + (digits.Length > 1 ? "." + digits[1..] : "") + Exponent(point - 1);
        if (point <= 0)
            return sign + "0." + new string('0', -point) + digits;
        return digits.Length <= point
            ? sign + digits + new string('0', point - digits.Length) + ".0"
            : sign + digits[..point] + "." + digits[point..];
    }

    /// <summary>%.nf: the exact value, ties to even.</summary>
    public static string Fixed(double value, int fraction)
    {
        if (!double.IsFinite(value))
            return Repr(value);
        var digits = Scaled(Math.Abs(value), fraction).ToString(CultureInfo.InvariantCulture).PadLeft(fraction + 1, '0');
        var text = fraction == 0 ? digits : digits[..^fraction] + "." + digits[^fraction..];
        return double.IsNegative(value) ? "-" + text : text;
    }

    /// <summary>%.ne</summary>
    public static string Scientific(double value, int fraction)
    {
        if (!double.IsFinite(value))
            return Repr(value);
        var text = value.ToString("E" + fraction, CultureInfo.InvariantCulture);
        var mark = text.IndexOf('E');
        return text[..mark] + Exponent(Whole(text.AsSpan(mark + 1)));
    }

    /// <summary>%.ng: n significant digits, without zeros at the end unless <paramref name="keepZeros"/>.</summary>
    /// <param name="likeRepr">format() without a type: a fraction even if it is zero, and an exponent one digit earlier.</param>
    public static string General(double value, int significant, bool keepZeros, bool likeRepr = false)
    {
        if (!double.IsFinite(value))
            return Repr(value);
        significant = Math.Max(significant, 1);
        var scientific = Scientific(value, significant - 1);
        var mark = scientific.IndexOf('e');
        var exponent = Whole(scientific.AsSpan(mark + 1));
        var isScientific = exponent < -4 || exponent >= significant - (likeRepr ? 1 : 0);
        var text = isScientific ? scientific[..mark] : Fixed(value, significant - 1 - exponent);
        if (!keepZeros && text.Contains('.'))
            text = text.TrimEnd('0').TrimEnd('.');
        if (isScientific)
            return text + scientific[mark..];
        return likeRepr && !text.Contains('.') ? text + ".0" : text;
    }

    /// <summary>round(value, digits): the exact value, ties to even.</summary>
    public static double Round(double value, int digits)
    {
        if (!double.IsFinite(value) || digits > 323)
            return value;
        var scaled = digits < -310 ? BigInteger.Zero : Scaled(Math.Abs(value), digits);
        var text = scaled.ToString(CultureInfo.InvariantCulture) + "E" + (-digits).ToString(CultureInfo.InvariantCulture);
        return Math.CopySign(double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture), value);
    }

    /// <summary>value · 10^digits as the nearest whole number, ties to even, without rounding twice.</summary>
    static BigInteger Scaled(double value, int digits)
    {
        var bits = BitConverter.DoubleToInt64Bits(value);
        var exponent = (int)(bits >> 52) & 0x7FF;
        BigInteger numerator = (bits & 0xFFFFFFFFFFFFF) | (exponent == 0 ? 0 : 1L << 52);
        BigInteger denominator = 1;
        var shift = Math.Max(exponent, 1) - 1075;
        if (shift >= 0)
            numerator <<= shift;
        else
            denominator <<= -shift;
        if (digits >= 0)
            numerator *= BigInteger.Pow(10, digits);
        else
            denominator *= BigInteger.Pow(10, -digits);

        return RoundedQuotient(numerator, denominator);
    }

    /// <summary>The nearest whole number to a fraction of two positive ones, ties to even.</summary>
    public static BigInteger RoundedQuotient(BigInteger numerator, BigInteger denominator)
    {
        var quotient = BigInteger.DivRem(numerator, denominator, out var rest);
        var half = (rest * 2).CompareTo(denominator);
        return half > 0 || half == 0 && !quotient.IsEven ? quotient + 1 : quotient;
    }

    static int Whole(ReadOnlySpan<char> text) => int.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);

    static string Exponent(int exponent) => $"e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";

    /// <summary>value = 0.digits · 10^point</summary>
    static (string Sign, string Digits, int Point) Digits(string text)
    {
        var sign = text[0] == '-' ? "-" : "";
        text = text[sign.Length..];
        var mark = text.IndexOf('E');
        var exponent = mark < 0 ? 0 : Whole(text.AsSpan(mark + 1));
        var mantissa = mark < 0 ? text : text[..mark];
        var dot = mantissa.IndexOf('.');
        var point = (dot < 0 ? mantissa.Length : dot) + exponent;
        var digits = mantissa.Replace(".", "");
        var zeros = digits.Length - digits.TrimStart('0').Length;
        if (zeros == digits.Length)
            return (sign, "0", 1);
        return (sign, digits[zeros..].TrimEnd('0'), point - zeros);
    }
}
