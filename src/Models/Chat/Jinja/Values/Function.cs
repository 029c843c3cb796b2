namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>A global function or a method bound to its value.</summary>
sealed class Function(string name, Func<Arguments, Value> body) : Value
{
    public override string TypeName => "builtin_function_or_method";
    public override bool IsCallable => true;

    public override Value Call(Arguments arguments) => body(arguments);
    public override void Repr(Writer to) => to.Append($"<function {name}>");
}
