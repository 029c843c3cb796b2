namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>namespace(): the one thing whose attributes a template may set. Mutable.</summary>
sealed class Namespace(DictValue initial, Budget budget) : Value
{
    readonly OrderedDictionary<string, Value> values =
        new(initial.Entries.Select(entry => KeyValuePair.Create(entry.Key.Str(budget), entry.Value)));

    public override string TypeName => "Namespace";

    public override Value? Attribute(string name) => values.GetValueOrDefault(name);

    public void Set(string name, Value value) => values[name] = value;

    public override void Repr(Writer to)
    {
        Budget.Stack();
        to.Append("<Namespace ");
        new DictValue(values.Select(entry => ((Value)new Text(entry.Key), entry.Value)), to.Budget).Repr(to);
        to.Append('>');
    }
}
