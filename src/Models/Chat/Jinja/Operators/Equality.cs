using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary>The operator <c>==</c>.</summary>
static class Equality
{
    public static bool Of(Value left, Value right, Budget budget)
    {
        budget.Step();
        if (ReferenceEquals(left, right))
            return left is not Float real || !double.IsNaN(real.Value);

        Budget.Stack();
        switch (left, right)
        {
            case (Text a, Text b):
                return a.Value == b.Value;
            case (ListValue a, ListValue b):
                return Items(a.Values, b.Values, budget);
            case (TupleValue a, TupleValue b):
                return Items(a.Values, b.Values, budget);
            case (DictValue a, DictValue b):
                return a.Length == b.Length && a.Entries.All(entry =>
                    b.TryGet(entry.Key, budget, out var other) && Of(entry.Value, other, budget));
            case (RangeValue a, RangeValue b):
                return Items([.. a.Items], [.. b.Items], budget);
            case (Undefined, Undefined):
                return true;
            default:
                return Number.Is(left) && Number.Is(right) && Number.Compare(left, right) == 0;
        }
    }

    static bool Items(IReadOnlyList<Value> left, IReadOnlyList<Value> right, Budget budget)
    {
        if (left.Count != right.Count)
            return false;
        for (var i = 0; i < left.Count; i++)
            if (!Of(left[i], right[i], budget))
                return false;
        return true;
    }
}
