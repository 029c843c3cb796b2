using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Strings;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

/// <summary>Filters that compare items. Upper and lower case are one unless <c>case_sensitive</c>.</summary>
static class OrderFilters
{
    public static Value Sort(Value input, Arguments a)
    {
        var bound = a.Bind(0, "reverse", "case_sensitive", "attribute");
        var items = Membership.ToArray(input, a.Budget);
        var paths = bound[2] is Text list ? list.Value.Split(',').Select(part => AttributePath.Parse(new Text(part))).ToArray()
            : bound[2] is null or None ? [[]] : [AttributePath.Parse(bound[2]!)];
        var fold = Fold(bound[1], a.Budget);
        Ordering.Sort(items, item => new ListValue([.. paths.Select(path => fold(Lookup.Path(item, path, a.Budget)))]),
            Arguments.Flag(bound[0], false), a.Budget);
        return new ListValue(items);
    }

    public static Value DictSort(Value input, Arguments a)
    {
        var bound = a.Bind(0, "case_sensitive", "by", "reverse");
        var by = a.String(bound[1], "key") switch
        {
            "key" => 0,
            "value" => 1,
            _ => throw new TemplateFault("You can only sort by either \"key\" or \"value\""),
        };
        if (input is Undefined undefined)
            throw new TemplateFault(undefined.Message);
        if (input is not DictValue dict)
            throw new TemplateFault($"'{input.TypeName} object' has no attribute 'items'");

        a.Budget.Step(dict.Entries.Count);
        var pairs = dict.Entries.Select(entry => new TupleValue([entry.Key, entry.Value])).ToArray();
        var fold = Fold(bound[0], a.Budget);
        Ordering.Sort(pairs, pair => fold(pair.Values[by]), Arguments.Flag(bound[2], false), a.Budget);
        return new ListValue(pairs);
    }

    public static Value Max(Value input, Arguments a) => Extreme(input, a, ">");
    public static Value Min(Value input, Arguments a) => Extreme(input, a, "<");

    /// <summary>The first of each value.</summary>
    public static Value Unique(Value input, Arguments a)
    {
        var bound = a.Bind(0, "case_sensitive", "attribute");
        var key = Key(bound[1], bound[0], a.Budget);
        return new IteratorValue(Items());

        IEnumerable<Value> Items()
        {
            var seen = new HashSet<Value>(KeyComparer.Instance);
            foreach (var item in Membership.Iterate(input, a.Budget))
            {
                var value = key(item);
                KeyComparer.Check(value, a.Budget);
                if (seen.Add(value))
                    yield return item;
            }
        }
    }

    /// <summary>Groups in the order of their keys; a group's name is spelled as in its first item.</summary>
    public static Value GroupBy(Value input, Arguments a)
    {
        var bound = a.Bind(1, "attribute", "default", "case_sensitive");
        var path = AttributePath.Parse(bound[0]!);
        var fold = Fold(bound[2], a.Budget);
        var items = Membership.ToArray(input, a.Budget);
        Ordering.Sort(items, item => fold(Spelled(item)), reverse: false, a.Budget);

        var groups = new List<Value>();
        for (var start = 0; start < items.Length;)
        {
            var key = fold(Spelled(items[start]));
            var end = start + 1;
            while (end < items.Length && Equality.Of(key, fold(Spelled(items[end])), a.Budget))
                end++;
            groups.Add(new Group(Spelled(items[start]), new ListValue(items[start..end])));
            start = end;
        }

        return new ListValue(groups);

        Value Spelled(Value item) => SelectionFilters.Reached(item, path, bound[1], a.Budget);
    }

    static Value Extreme(Value input, Arguments a, string op)
    {
        var bound = a.Bind(0, "case_sensitive", "attribute");
        var key = Key(bound[1], bound[0], a.Budget);
        Value? best = null;
        foreach (var item in Membership.Iterate(input, a.Budget))
            if (best is null || Ordering.Holds(op, key(item), key(best), a.Budget))
                best = item;
        return best ?? new Undefined("No aggregated item, sequence was empty.");
    }

    static Func<Value, Value> Key(Value? attribute, Value? caseSensitive, Budget budget)
    {
        var path = attribute is null or None ? [] : AttributePath.Parse(attribute);
        var fold = Fold(caseSensitive, budget);
        return item => fold(Lookup.Path(item, path, budget));
    }

    static Func<Value, Value> Fold(Value? caseSensitive, Budget budget) => Arguments.Flag(caseSensitive, false)
        ? value => value
        : value =>
        {
            if (value is not Text text)
                return value;
            budget.Text(text.Value.Length);
            return new Text(CaseMapping.Lower(text.Value));
        };
}
