using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Operators;

/// <summary>Attributes and items, in the two orders in which Jinja tries them, and what the sandbox hides.</summary>
static class Lookup
{
    static readonly HashSet<string> ChangingList = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
    static readonly HashSet<string> ChangingDict = ["clear", "pop", "popitem", "setdefault", "update"];

    /// <summary><c>value.name</c></summary>
    public static Value Member(Value value, string name, Budget budget)
    {
        if (value is Undefined undefined)
            throw new TemplateFault(undefined.Message);
        if (IsHidden(value, name))
            return new Undefined($"access to attribute '{name}' of '{value.TypeName}' object is unsafe.");
        return value.Attribute(name) ?? value.Item(new Text(name), budget) ?? Missing(value, name);
    }

    /// <summary><c>value[key]</c></summary>
    public static Value Subscript(Value value, Value key, Budget budget)
    {
        if (value is Undefined undefined)
            throw new TemplateFault(undefined.Message);
        if (value.Item(key, budget) is { } item)
            return item;
        if (key is not Text name)
            return new Undefined($"{Describe(value)} has no element {Shown(key, budget)}");
        return IsHidden(value, name.Value)
            ? new Undefined($"access to attribute '{name.Value}' of '{value.TypeName}' object is unsafe.")
            : value.Attribute(name.Value) ?? Missing(value, name.Value);
    }

    /// <summary>An attribute only, for the filter <c>attr</c>.</summary>
    public static Value Attribute(Value value, string name) => value is Undefined undefined
        ? throw new TemplateFault(undefined.Message)
        : (IsHidden(value, name) ? null : value.Attribute(name)) ?? Missing(value, name);

    /// <summary>Walks <c>a.b.0</c>: keys first, then attributes.</summary>
    public static Value Path(Value value, IReadOnlyList<Value> keys, Budget budget)
    {
        foreach (var key in keys)
            value = Subscript(value, key, budget);
        return value;
    }

    public static string Describe(Value value) => value is None ? "None" : $"{value.TypeName} object";

    static Undefined Missing(Value value, string name) => new($"'{Describe(value)}' has no attribute '{name}'");

    static string Shown(Value key, Budget budget)
    {
        var writer = new Writer(budget);
        key.Repr(writer);
        return writer.ToString();
    }

    /// <summary>Python's own attributes, and methods that change a list or a dictionary.</summary>
    static bool IsHidden(Value value, string name) => value switch
    {
        _ when name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal) => true,
        ListValue => ChangingList.Contains(name),
        DictValue => ChangingDict.Contains(name),
        _ => false,
    };
}
