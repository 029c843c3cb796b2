using System.Numerics;
using Nibble.Models.Chat.Jinja.Strings;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary>+ - * / // % ** with Python's rules: true division gives a float, // and % round towards minus infinity.</summary>
static class Operator
{
    public static Value Apply(string op, Value left, Value right, Budget budget)
    {
        if (left is Undefined missing)
            throw new TemplateFault(missing.Message);
        if (right is Undefined absent && !(op == "%" && left is Text))
            throw new TemplateFault(absent.Message);

        if (op == "%" && left is Text format)
            return PercentFormat.Apply(format.Value, right, budget);
        if (op == "+" && Joined(left, right, budget) is { } joined)
            return joined;
        if (op == "*" && (Repeated(left, right, budget) ?? Repeated(right, left, budget)) is { } repeated)
            return repeated;
        if (!Number.Is(left) || !Number.Is(right))
            throw new TemplateFault(Unsupported(op, left, right));
        return Number.IsInteger(left, out var a) && Number.IsInteger(right, out var b)
            ? Whole(op, a, b)
            : new Float(Real(op, Number.Double(left), Number.Double(right)));
    }

    public static Value Sign(bool negative, Value value)
    {
        if (value is Undefined undefined)
            throw new TemplateFault(undefined.Message);
        if (value is Float real)
            return new Float(negative ? -real.Value : real.Value);
        return Number.IsInteger(value, out var number)
            ? new Integer(negative ? -number : number)
            : throw new TemplateFault($"bad operand type for unary {(negative ? '-' : '+')}: '{value.TypeName}'");
    }

    static Value? Joined(Value left, Value right, Budget budget)
    {
        switch (left, right)
        {
            case (Text a, Text b):
                budget.Text((long)a.Value.Length + b.Value.Length);
                return new Text(a.Value + b.Value);
            case (ListValue a, ListValue b):
                return Joined(a, b, budget);
            case (TupleValue a, TupleValue b):
                return new TupleValue(Joined(a, b, budget).Values);
            default:
                return null;
        }
    }

    static Sequence Joined(Sequence left, Sequence right, Budget budget)
    {
        budget.Step(left.Values.Count + right.Values.Count);
        return left.With([.. left.Values, .. right.Values]);
    }

    static Value? Repeated(Value value, Value times, Budget budget)
    {
        if (value is not (Text or Sequence) || !Number.IsInteger(times, out var count))
            return null;
        var copies = (int)BigInteger.Clamp(count, 0, int.MaxValue);
        if (value is Text text)
        {
            budget.Text((long)text.Value.Length * copies);
            return text.IsTrue ? new Text(new System.Text.StringBuilder().Insert(0, text.Value, copies).ToString()) : text;
        }

        var sequence = (Sequence)value;
        budget.Step((long)sequence.Values.Count * copies);
        return sequence.IsTrue
            ? sequence.With([.. Enumerable.Repeat(sequence.Values, copies).SelectMany(items => items)])
            : sequence;
    }

    static Value Whole(string op, BigInteger a, BigInteger b)
    {
        if (b.IsZero && op is ("/" or "//" or "%"))
            throw new TemplateFault(op == "/" ? "division by zero" : "integer division or modulo by zero");
        switch (op)
        {
            case "+":
                return Integer.Checked(a + b);
            case "-":
                return Integer.Checked(a - b);
            case "*":
                return Integer.Checked(a * b);
            case "/":
                return new Float(Number.Double(new Integer(a)) / Number.Double(new Integer(b)));
            case "**":
                return Power(a, b);
        }

        var quotient = BigInteger.DivRem(a, b, out var rest);
        var roundsUp = !rest.IsZero && rest.Sign != b.Sign; // DivRem rounds towards zero
        return new Integer(op == "//" ? quotient - (roundsUp ? 1 : 0) : rest + (roundsUp ? b : 0));
    }

    static Value Power(BigInteger a, BigInteger b)
    {
        if (b.Sign < 0)
            return new Float(Real("**", Number.Double(new Integer(a)), Number.Double(new Integer(b))));
        if (BigInteger.Abs(a) <= 1)
            return new Integer(a.IsZero && !b.IsZero ? 0 : a.Sign < 0 && !b.IsEven ? -1 : 1);
        if (b > Limits.IntegerBits || (a.GetBitLength() - 1) * (long)b > Limits.IntegerBits)
            throw new TemplateFault($"a power of more than {Limits.IntegerBits} bits");
        return Integer.Checked(BigInteger.Pow(a, (int)b));
    }

    static double Real(string op, double a, double b)
    {
        if (b == 0 && op is ("/" or "//" or "%"))
            throw new TemplateFault(op switch
            {
                "/" => "float division by zero",
                "//" => "float floor division by zero",
                _ => "float modulo",
            });
        switch (op)
        {
            case "+":
                return a + b;
            case "-":
                return a - b;
            case "*":
                return a * b;
            case "/":
                return a / b;
            case "**":
                return Power(a, b);
        }

        var rest = a % b;
        var quotient = (a - rest) / b;
        if (rest != 0 && rest < 0 != b < 0)
            (rest, quotient) = (rest + b, quotient - 1);
        if (op == "%")
            return rest == 0 ? Math.CopySign(0, b) : rest;
        var floor = Math.Floor(quotient);
        return quotient == 0 ? Math.CopySign(0, a / b) : quotient - floor > 0.5 ? floor + 1 : floor;
    }

    static double Power(double a, double b)
    {
        if (a == 0 && b < 0)
            throw new TemplateFault("0.0 cannot be raised to a negative power");
        if (a < 0 && double.IsFinite(a) && double.IsFinite(b) && !double.IsInteger(b))
            throw new TemplateFault("a negative number cannot be raised to a fractional power");
        var power = Math.Pow(a, b);
        return double.IsInfinity(power) && double.IsFinite(a) && double.IsFinite(b)
            ? throw new TemplateFault("a power too large for a float")
            : power;
    }

    static string Unsupported(string op, Value left, Value right)
    {
        if (op == "+" && left is (Text or Sequence))
            return $"can only concatenate {left.TypeName} (not \"{right.TypeName}\") to {left.TypeName}";
        if (op == "*" && (left is Text or Sequence || right is Text or Sequence))
            return $"can't multiply sequence by non-int of type '{(left is Text or Sequence ? right : left).TypeName}'";
        return $"unsupported operand type(s) for {(op == "**" ? "** or pow()" : op)}: '{left.TypeName}' and '{right.TypeName}'";
    }
}
