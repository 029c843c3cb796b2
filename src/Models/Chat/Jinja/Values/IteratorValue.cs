namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>What lazy filters give: true, without a length, and gone after it was gone through once. Mutable.</summary>
sealed class IteratorValue(IEnumerable<Value> source) : Value
{
    readonly IEnumerator<Value> items = source.GetEnumerator();

    public override string TypeName => "generator";

    public override IEnumerable<Value> Items
    {
        get
        {
            while (items.MoveNext())
                yield return items.Current;
        }
    }

    public override void Repr(Writer to) => to.Append("<generator object>");
}
