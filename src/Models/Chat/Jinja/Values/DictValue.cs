using System.Diagnostics.CodeAnalysis;
using Nibble.Models.Chat.Jinja.Operators;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>dict: keys in the order of their first appearance.</summary>
sealed class DictValue : Value
{
    readonly OrderedDictionary<Value, Value> entries;

    /// <summary>Later values of an equal key win and keep the first one's place.</summary>
    public DictValue(IEnumerable<(Value Key, Value Value)> items, Budget budget)
    {
        entries = new OrderedDictionary<Value, Value>(KeyComparer.Instance);
        foreach (var (key, value) in items)
        {
            KeyComparer.Check(key, budget);
            entries[key] = value;
        }
    }

    public override string TypeName => "dict";
    public override bool IsTrue => entries.Count > 0;
    public override int? Length => entries.Count;
    public override IEnumerable<Value> Items => entries.Keys;
    public IReadOnlyDictionary<Value, Value> Entries => entries;

    public bool TryGet(Value key, Budget budget, [MaybeNullWhen(false)] out Value value)
    {
        KeyComparer.Check(key, budget);
        return entries.TryGetValue(key, out value);
    }

    public bool TryGet(string key, [MaybeNullWhen(false)] out Value value) => entries.TryGetValue(new Text(key), out value);

    /// <summary>The same dictionary with one value changed or added.</summary>
    public DictValue With(string key, Value value, Budget budget) =>
        new(entries.Select(entry => (entry.Key, entry.Value)).Append((new Text(key), value)), budget);

    public override Value? Item(Value key, Budget budget) =>
        KeyComparer.IsHashable(key, budget) && entries.TryGetValue(key, out var value) ? value : null;

    public override Value? Attribute(string name) => CollectionMethods.Find(this, name);

    public override void Repr(Writer to)
    {
        Budget.Stack();
        to.Append('{');
        var separator = "";
        foreach (var (key, value) in entries)
        {
            to.Append(separator);
            key.Repr(to);
            to.Append(": ");
            value.Repr(to);
            separator = ", ";
        }

        to.Append('}');
    }
}

/// <summary>dict.keys(), dict.values() or dict.items().</summary>
sealed class DictView(DictValue dict, string kind, Func<KeyValuePair<Value, Value>, Value> select) : Value
{
    public override string TypeName => kind;
    public override bool IsTrue => dict.IsTrue;
    public override int? Length => dict.Length;
    public override IEnumerable<Value> Items => dict.Entries.Select(select);

    public override void Repr(Writer to)
    {
        to.Append(kind).Append('(');
        new ListValue([.. Items]).Repr(to);
        to.Append(')');
    }
}
