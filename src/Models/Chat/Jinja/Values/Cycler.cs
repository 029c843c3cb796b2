namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>cycler(a, b, …): gives its values in turn. Mutable.</summary>
sealed class Cycler(IReadOnlyList<Value> values) : Value
{
    int position;

    public override string TypeName => "Cycler";

    public override Value? Attribute(string name) => name switch
    {
        "current" => values[position],
        "next" => new Function(name, _ => Next()),
        "reset" => new Function(name, _ => Reset()),
        _ => null,
    };

    public override void Repr(Writer to) => to.Append("<Cycler>");

    Value Next()
    {
        var value = values[position];
        position = (position + 1) % values.Count;
        return value;
    }

    Value Reset()
    {
        position = 0;
        return None.Value;
    }
}
