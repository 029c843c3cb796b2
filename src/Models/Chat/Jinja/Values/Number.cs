using System.Numerics;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>bool, int and float as numbers: a boolean counts as 0 or 1.</summary>
static class Number
{
    public static bool Is(Value value) => value is Integer or Float or Bool;

    public static bool IsInteger(Value value, out BigInteger number)
    {
        number = value switch
        {
            Integer integer => integer.Value,
            Bool flag => flag.IsTrue ? BigInteger.One : BigInteger.Zero,
            _ => BigInteger.Zero,
        };
        return value is Integer or Bool;
    }

    public static double Double(Value value) => value switch
    {
        Float real => real.Value,
        Integer integer => (double)integer.Value is var real && double.IsFinite(real)
            ? real
            : throw new TemplateFault("int too large to convert to float"),
        _ => value.IsTrue ? 1 : 0,
    };

    /// <summary>Negative, zero or positive; null when one is not a number (NaN).</summary>
    public static int? Compare(Value left, Value right)
    {
        if (IsInteger(left, out var a) && IsInteger(right, out var b))
            return a.CompareTo(b);
        if (left is Float x && right is Float y)
            return double.IsNaN(x.Value) || double.IsNaN(y.Value) ? null : x.Value.CompareTo(y.Value);
        return left is Float real ? -Compare(IsInteger(right, out var i) ? i : 0, real.Value)
            : Compare(IsInteger(left, out var j) ? j : 0, ((Float)right).Value);
    }

    /// <summary>Exact, also where an integer has more digits than a double.</summary>
    static int? Compare(BigInteger left, double right)
    {
        if (double.IsNaN(right))
            return null;
        if (double.IsInfinity(right))
            return right > 0 ? -1 : 1;
        var whole = new BigInteger(right); // towards zero
        return left != whole ? left.CompareTo(whole) : -Math.Sign(right - Math.Truncate(right));
    }
}
