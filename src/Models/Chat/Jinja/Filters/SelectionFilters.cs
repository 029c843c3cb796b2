using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

/// <summary>Filters that choose or change items by an attribute, a test or another filter. What they give is lazy.</summary>
static class SelectionFilters
{
    public static Value Default(Value input, Arguments a)
    {
        var bound = a.Bind(0, "default_value", "boolean");
        return input is Undefined || Arguments.Flag(bound[1], false) && !input.IsTrue ? bound[0] ?? new Text("") : input;
    }

    public static Value Attr(Value input, Arguments a) => Lookup.Attribute(input, a.Bind(1, "name")[0]!.Str(a.Budget));

    /// <summary>map(attribute='x', default=y), or map('filter', arguments…).</summary>
    public static Value Map(Value input, Arguments a)
    {
        if (a.Positional.Count == 0)
        {
            var bound = a.Bind(0, "attribute", "default");
            var path = AttributePath.Parse(bound[0] ?? throw new TemplateFault("map requires a filter argument"));
            return Lazy(input, a, items => items.Select(item => Reached(item, path, bound[1], a.Budget)));
        }

        var name = a.String(a.Positional[0], "");
        var rest = a.Skip(name, 1);
        return Lazy(input, a, items => items.Select(item => FilterTable.Apply(name, item, rest)));
    }

    public static Value Select(Value input, Arguments a) => Chosen(input, a, wanted: true, byAttribute: false);
    public static Value Reject(Value input, Arguments a) => Chosen(input, a, wanted: false, byAttribute: false);
    public static Value SelectAttr(Value input, Arguments a) => Chosen(input, a, wanted: true, byAttribute: true);
    public static Value RejectAttr(Value input, Arguments a) => Chosen(input, a, wanted: false, byAttribute: true);

    /// <summary>The value at the end of a path, or a default where there is none.</summary>
    public static Value Reached(Value item, IReadOnlyList<Value> path, Value? otherwise, Budget budget)
    {
        var value = Lookup.Path(item, path, budget);
        return value is Undefined && otherwise is not (null or None) ? otherwise : value;
    }

    static Value Chosen(Value input, Arguments a, bool wanted, bool byAttribute)
    {
        var used = byAttribute ? 1 : 0;
        if (a.Positional.Count < used)
            throw new TemplateFault("Missing parameter for attribute name");
        var path = byAttribute ? AttributePath.Parse(a.Positional[0]) : [];
        var test = a.Positional.Count > used ? a.String(a.Positional[used], "") : null;
        var rest = a.Skip(test ?? "select", Math.Min(used + 1, a.Positional.Count));
        return Lazy(input, a, items => items.Where(item =>
        {
            var value = Lookup.Path(item, path, a.Budget);
            return (test is null ? value.IsTrue : TestTable.Holds(test, value, rest)) == wanted;
        }));
    }

    /// <summary>Nothing happens, not even an error, before the result is gone through.</summary>
    static IteratorValue Lazy(Value input, Arguments a, Func<IEnumerable<Value>, IEnumerable<Value>> change)
    {
        return new(Items());

        IEnumerable<Value> Items()
        {
            if (!input.IsTrue && input is not IteratorValue)
                yield break;
            foreach (var item in change(Membership.Iterate(input, a.Budget)))
                yield return item;
        }
    }
}
