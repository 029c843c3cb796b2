using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary>The operator <c>in</c>, and going through values.</summary>
static class Membership
{
    public static bool Contains(Value container, Value item, Budget budget)
    {
        switch (container)
        {
            case Text text when item is Text part:
                budget.Search(text.Value.Length, part.Value.Length);
                return text.Value.Contains(part.Value, StringComparison.Ordinal);
            case Text:
                throw new TemplateFault($"'in <string>' requires string as left operand, not {item.TypeName}");
            case DictValue dict:
                return dict.TryGet(item, budget, out _);
        }

        var items = container.Items ?? throw new TemplateFault($"argument of type '{container.TypeName}' is not iterable");
        return items.Any(other => Equality.Of(item, other, budget));
    }

    /// <summary>The items of a value, each charged to the budget.</summary>
    public static IEnumerable<Value> Iterate(Value value, Budget budget)
    {
        var items = value.Items ?? throw new TemplateFault($"'{value.TypeName}' object is not iterable");
        return Charged(items, budget);
    }

    public static Value[] ToArray(Value value, Budget budget) => [.. Iterate(value, budget)];

    static IEnumerable<Value> Charged(IEnumerable<Value> items, Budget budget)
    {
        foreach (var item in items)
        {
            budget.Step();
            yield return item;
        }
    }
}
