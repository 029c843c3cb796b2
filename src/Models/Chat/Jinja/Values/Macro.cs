using Nibble.Models.Chat.Jinja.Syntax;

namespace Nibble.Models.Chat.Jinja.Values;

/// <summary>A macro, or the body of a call block under the name <c>caller</c>.</summary>
/// <param name="render">Renders the body with bound parameters.</param>
sealed class Macro(Signature signature, Func<Arguments, Value> render) : Value
{
    public override string TypeName => "Macro";
    public override bool IsCallable => true;

    public override Value Call(Arguments arguments) => render(arguments);

    public override Value? Attribute(string name) => name switch
    {
        "name" => new Text(signature.Name),
        "arguments" => new TupleValue([.. signature.Parameters.Select(parameter => new Text(parameter.Name))]),
        "catch_kwargs" => Bool.Of(signature.TakesKeywords),
        "catch_varargs" => Bool.Of(signature.TakesPositional),
        "caller" => Bool.Of(signature.TakesCaller),
        _ => null,
    };

    public override void Repr(Writer to) => to.Append($"<Macro '{signature.Name}'>");
}
