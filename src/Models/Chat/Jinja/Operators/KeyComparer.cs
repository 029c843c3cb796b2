using System.Numerics;
using System.Runtime.CompilerServices;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary>Equality of dictionary keys: 1, 1.0 and True are one key.</summary>
sealed class KeyComparer : IEqualityComparer<Value>
{
    public static readonly KeyComparer Instance = new();

    /// <summary>Refuses what Python cannot hash, and charges for what is nested, so that hashing stays within the
    /// budget.</summary>
    public static void Check(Value key, Budget budget)
    {
        if (!IsHashable(key, budget))
            throw new TemplateFault($"unhashable type: '{key.TypeName}'");
    }

    public static bool IsHashable(Value key, Budget budget)
    {
        budget.Step();
        Budget.Stack();
        return key switch
        {
            TupleValue tuple => tuple.Values.All(item => IsHashable(item, budget)),
            ListValue or DictValue => false,
            _ => true,
        };
    }

    public bool Equals(Value? left, Value? right) => ReferenceEquals(left, right) || (left, right) switch
    {
        (Text a, Text b) => a.Value == b.Value,
        (Undefined, Undefined) => true,
        (TupleValue a, TupleValue b) => a.Values.SequenceEqual(b.Values, this),
        _ => left is not null && right is not null && Number.Is(left) && Number.Is(right) && Number.Compare(left, right) == 0,
    };

    public int GetHashCode(Value value)
    {
        switch (value)
        {
            case Text text:
                return text.Value.GetHashCode();
            case Float real:
                return double.IsInteger(real.Value) ? new BigInteger(real.Value).GetHashCode() : real.Value.GetHashCode();
            case Undefined:
                return 0;
            case TupleValue tuple:
                var hash = new HashCode();
                foreach (var item in tuple.Values)
                    hash.Add(GetHashCode(item));
                return hash.ToHashCode();
            default:
                return Number.IsInteger(value, out var number)
                    ? number.GetHashCode()
                    : RuntimeHelpers.GetHashCode(value);
        }
    }
}
