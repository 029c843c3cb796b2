using System.Numerics;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>list or tuple.</summary>
abstract class Sequence(IReadOnlyList<Value> values) : Value
{
    public IReadOnlyList<Value> Values { get; } = values;

    public override bool IsTrue => Values.Count > 0;
    public override int? Length => Values.Count;
    public override IEnumerable<Value> Items => Values;

    public override Value? Item(Value key, Budget budget) => Index(key, Values.Count) is { } index ? Values[index] : null;

    public override Value? Attribute(string name) => CollectionMethods.Find(this, name);

    /// <summary>A sequence of the same type.</summary>
    public abstract Sequence With(IReadOnlyList<Value> values);

    /// <summary>The place a key points to, negative ones counted from the end; null when there is none.</summary>
    public static int? Index(Value key, int count)
    {
        if (!Number.IsInteger(key, out var index))
            return null;
        if (index.Sign < 0)
            index += count;
        return index.Sign >= 0 && index < count ? (int)index : null;
    }

    protected void Repr(Writer to, char open, string close)
    {
        Budget.Stack();
        to.Append(open);
        for (var i = 0; i < Values.Count; i++)
        {
            if (i > 0)
                to.Append(", ");
            Values[i].Repr(to);
        }

        to.Append(close);
    }
}

sealed class ListValue(IReadOnlyList<Value> values) : Sequence(values)
{
    public override string TypeName => "list";
    public override ListValue With(IReadOnlyList<Value> values) => new(values);
    public override void Repr(Writer to) => Repr(to, '[', "]");
}

class TupleValue(IReadOnlyList<Value> values) : Sequence(values)
{
    public override string TypeName => "tuple";
    public override TupleValue With(IReadOnlyList<Value> values) => new(values);
    public override void Repr(Writer to) => Repr(to, '(', Values.Count == 1 ? ",)" : ")");
}

/// <summary>One group of the filter <c>groupby</c>: a tuple whose parts have names.</summary>
sealed class Group(Value grouper, ListValue list) : TupleValue([grouper, list])
{
    public override Value? Attribute(string name) => name switch
    {
        "grouper" => Values[0],
        "list" => Values[1],
        _ => base.Attribute(name),
    };
}
