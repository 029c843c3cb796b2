using System.Numerics;
using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Strings;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

static class NumberFilters
{
    public static Value Abs(Value input, Arguments a)
    {
        a.Bind(0);
        return input switch
        {
            Values.Float real => new Values.Float(Math.Abs(real.Value)),
            Undefined undefined => throw new TemplateFault(undefined.Message),
            _ => Number.IsInteger(input, out var number)
                ? new Integer(BigInteger.Abs(number))
                : throw new TemplateFault($"bad operand type for abs(): '{input.TypeName}'"),
        };
    }

    /// <summary>A default, 0, for what is no number; 42.23 and "42.23" lose their fraction.</summary>
    public static Value Int(Value input, Arguments a)
    {
        var bound = a.Bind(0, "default", "base");
        var fallback = bound[0] ?? new Integer(0);
        switch (input)
        {
            case Undefined undefined:
                throw new TemplateFault(undefined.Message);
            case Text text when Conversion.Whole(text.Value, a.Integer(bound[1], 10)) is { } whole:
                return Integer.Checked(whole);
            case Text text:
                return Conversion.Real(text.Value) is { } real && double.IsFinite(real)
                    ? new Integer(new BigInteger(real))
                    : fallback;
            default:
                return Number.Is(input) && !(input is Values.Float number && !double.IsFinite(number.Value))
                    ? Conversion.Truncate(input)
                    : fallback;
        }
    }

    public static Value Float(Value input, Arguments a)
    {
        var fallback = a.Bind(0, "default")[0] ?? new Values.Float(0);
        return input switch
        {
            Undefined undefined => throw new TemplateFault(undefined.Message),
            Text text => Conversion.Real(text.Value) is { } real ? new Values.Float(real) : fallback,
            _ => Number.Is(input) ? new Values.Float(Number.Double(input)) : fallback,
        };
    }

    /// <summary>Ties to even; <c>ceil</c> and <c>floor</c> on request. A whole number stays one.</summary>
    public static Value Round(Value input, Arguments a)
    {
        var bound = a.Bind(0, "precision", "method");
        var digits = a.Integer(bound[0], 0);
        var method = a.String(bound[1], "common");
        if (method is not ("common" or "ceil" or "floor"))
            throw new TemplateFault("method must be common, ceil or floor");
        if (input is Undefined undefined)
            throw new TemplateFault(undefined.Message);
        if (!Number.Is(input))
            throw new TemplateFault($"type {input.TypeName} doesn't define __round__ method");

        if (method != "common")
        {
            var scale = Math.Pow(10, digits);
            var scaled = Number.Double(input) * scale;
            var whole = (method == "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled)) + 0.0; // Python's is an int: no -0
            return new Values.Float(whole / scale);
        }

        return Number.IsInteger(input, out var number)
            ? new Integer(RoundWhole(number, digits))
            : new Values.Float(FloatText.Round(Number.Double(input), digits));
    }

    public static Value Sum(Value input, Arguments a)
    {
        var bound = a.Bind(0, "attribute", "start");
        var path = bound[0] is null or None ? null : AttributePath.Parse(bound[0]!);
        var total = bound[1] ?? new Integer(0);
        foreach (var item in Membership.Iterate(input, a.Budget))
            total = Operator.Apply("+", total, path is null ? item : Lookup.Path(item, path, a.Budget), a.Budget);
        return total;
    }

    static BigInteger RoundWhole(BigInteger number, int digits)
    {
        if (digits >= 0)
            return number;
        if (-digits > Limits.IntegerBits / 3)
            return 0;
        var unit = BigInteger.Pow(10, -digits);
        return FloatText.RoundedQuotient(BigInteger.Abs(number), unit) * unit * number.Sign;
    }
}
