using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary>The operators &lt;, &lt;=, &gt;, &gt;= and sorting by them.</summary>
static class Ordering
{
    public static bool Holds(string op, Value left, Value right, Budget budget)
    {
        budget.Step();
        Budget.Stack();
        switch (left, right)
        {
            case (Text a, Text b):
                return Holds(op, CompareCodePoints(a.Value, b.Value));
            case (ListValue a, ListValue b):
                return Items(op, a.Values, b.Values, budget);
            case (TupleValue a, TupleValue b):
                return Items(op, a.Values, b.Values, budget);
            case (Undefined undefined, _):
                throw new TemplateFault(undefined.Message);
            case (_, Undefined undefined):
                throw new TemplateFault(undefined.Message);
        }

        if (Number.Is(left) && Number.Is(right))
            return Number.Compare(left, right) is { } order && Holds(op, order);
        throw new TemplateFault($"'{op}' not supported between instances of '{left.TypeName}' and '{right.TypeName}'");
    }

    /// <summary>A stable sort by <c>&lt;</c> alone, as Python's: no order is assumed to be consistent.</summary>
    public static void Sort<T>(T[] items, Func<T, Value> key, bool reverse, Budget budget)
    {
        var keys = Array.ConvertAll(items, item => key(item));
        var order = new int[items.Length];
        for (var i = 0; i < order.Length; i++)
            order[i] = i;
        Merge(order, new int[order.Length], 0, order.Length, (later, earlier) => reverse
            ? Holds("<", keys[earlier], keys[later], budget)
            : Holds("<", keys[later], keys[earlier], budget));

        var copy = (T[])items.Clone();
        for (var i = 0; i < order.Length; i++)
            items[i] = copy[order[i]];
    }

    static void Merge(int[] order, int[] space, int start, int end, Func<int, int, bool> goesFirst)
    {
        if (end - start < 2)
            return;
        var middle = (start + end) / 2;
        Merge(order, space, start, middle, goesFirst);
        Merge(order, space, middle, end, goesFirst);
        order.AsSpan(start, end - start).CopyTo(space.AsSpan(start));
        for (int left = start, right = middle, to = start; to < end; to++)
            order[to] = left == middle || right < end && goesFirst(space[right], space[left]) ? space[right++] : space[left++];
    }

    static bool Items(string op, IReadOnlyList<Value> left, IReadOnlyList<Value> right, Budget budget)
    {
        for (var i = 0; i < left.Count && i < right.Count; i++)
            if (!Equality.Of(left[i], right[i], budget))
                return Holds(op, left[i], right[i], budget);
        return Holds(op, left.Count.CompareTo(right.Count));
    }

    static bool Holds(string op, int order) => op switch
    {
        "<" => order < 0,
        "<=" => order <= 0,
        ">" => order > 0,
        _ => order >= 0,
    };

    /// <summary>UTF-16 order differs from code point order only where surrogates meet U+E000 to U+FFFF.</summary>
    static int CompareCodePoints(string left, string right)
    {
        var at = left.AsSpan().CommonPrefixLength(right);
        if (at == left.Length || at == right.Length)
            return left.Length.CompareTo(right.Length);
        var (a, b) = (left[at], right[at]);
        return char.IsSurrogate(a) == char.IsSurrogate(b) ? a.CompareTo(b) : char.IsSurrogate(a) ? 1 : -1;
    }
}
