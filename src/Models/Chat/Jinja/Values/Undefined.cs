namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>What a missing name, key or attribute gives: prints as nothing, is empty and false; any other use is an
/// error.</summary>
sealed class Undefined(string message) : Value
{
    /// <summary>The error that using it raises.</summary>
    public string Message { get; } = message;

    public override string TypeName => "Undefined";
    public override bool IsTrue => false;
    public override int? Length => 0;
    public override IEnumerable<Value> Items => [];

    public override bool IsCallable => true; // as Python sees it; the call itself fails

    public override Value Call(Arguments arguments) => throw new TemplateFault(Message);
    public override void Repr(Writer to) => to.Append("Undefined");

    public override void Print(Writer to)
    {
    }
}
