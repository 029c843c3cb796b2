using Nibble.Models.Chat.Jinja.Operators;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>The variable <c>loop</c>. Mutable: it moves with the loop.</summary>
/// <param name="depth0">How often a recursive loop has called itself.</param>
/// <param name="recurse">Renders the loop over other items; null unless it is recursive.</param>
sealed class LoopValue(IReadOnlyList<Value> items, int depth0, Func<Value, Value>? recurse) : Value
{
    Value? lastChanged;

    public int Index { get; set; }

    public override string TypeName => "LoopContext";
    public override int? Length => items.Count;
    public override bool IsCallable => true;

    public override Value Call(Arguments arguments) => recurse is null
        ? throw new TemplateFault("The loop must have the 'recursive' marker to be called recursively.")
        : recurse(arguments.Bind(1, "iterable")[0]!);

    public override Value? Attribute(string name) => name switch
    {
        "index" => new Integer(Index + 1),
        "index0" => new Integer(Index),
        "revindex" => new Integer(items.Count - Index),
        "revindex0" => new Integer(items.Count - Index - 1),
        "first" => Bool.Of(Index == 0),
        "last" => Bool.Of(Index == items.Count - 1),
        "length" => new Integer(items.Count),
        "depth" => new Integer(depth0 + 1),
        "depth0" => new Integer(depth0),
        "previtem" => Index > 0 ? items[Index - 1] : new Undefined("there is no previous item"),
        "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new Undefined("there is no next item"),
        "cycle" => new Function(name, Cycle),
        "changed" => new Function(name, Changed),
        _ => null,
    };

    public override void Repr(Writer to) => to.Append($"<LoopContext {Index + 1}/{items.Count}>");

    Value Cycle(Arguments arguments) => arguments.Positional.Count > 0
        ? arguments.Positional[Index % arguments.Positional.Count]
        : throw new TemplateFault("no items for cycling given");

    Value Changed(Arguments arguments)
    {
        var value = new TupleValue(arguments.Positional);
        if (lastChanged is not null && Equality.Of(lastChanged, value, arguments.Budget))
            return Bool.False;
        lastChanged = value;
        return Bool.True;
    }
}
