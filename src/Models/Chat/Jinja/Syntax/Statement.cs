namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>A node that writes or defines something.</summary>
abstract record Statement(int Line);

sealed record Data(int Line, string Text) : Statement(Line);
sealed record Print(int Line, Expression Value) : Statement(Line);
sealed record If(int Line, IReadOnlyList<(Expression Test, Body Then)> Branches, Body Else) : Statement(Line);

/// <param name="Test">Items for which it fails are left out before anything is counted.</param>
/// <param name="Recursive"><c>loop(items)</c> renders the same loop over other items.</param>
/// <param name="Else">Runs when no pass reached the end of the body.</param>
sealed record For(int Line, Target Target, Expression Items, Expression? Test, bool Recursive, Body Body, Body Else)
    : Statement(Line);

sealed record Break(int Line) : Statement(Line);
sealed record Continue(int Line) : Statement(Line);
sealed record Set(int Line, Target Target, Expression Value) : Statement(Line);

/// <param name="Filter">Applied to the text; null for none.</param>
sealed record SetBlock(int Line, Target Target, Expression? Filter, Body Body) : Statement(Line);

sealed record With(int Line, IReadOnlyList<(Target Target, Expression Value)> Values, Body Body) : Statement(Line);
sealed record MacroDefinition(int Line, Signature Signature) : Statement(Line);

/// <summary><c>{% call(x) macro() %}…{% endcall %}</c>: the body is handed to the macro as <c>caller</c>.</summary>
sealed record CallBlock(int Line, Call Call, Signature Caller) : Statement(Line);

sealed record FilterBlock(int Line, Expression Filter, Body Body) : Statement(Line);

/// <summary>Text the model itself writes; Transformers' mask of assistant tokens.</summary>
sealed record Generation(int Line, Body Body) : Statement(Line);

sealed record Body(IReadOnlyList<Statement> Statements)
{
    public static readonly Body Empty = new([]);
}

/// <param name="TakesPositional">The body mentions <c>varargs</c>.</param>
/// <param name="TakesKeywords">The body mentions <c>kwargs</c>.</param>
/// <param name="TakesCaller">The body mentions <c>caller</c>.</param>
sealed record Signature(
    string Name,
    IReadOnlyList<(string Name, Expression? Default)> Parameters,
    Body Body,
    bool TakesPositional,
    bool TakesKeywords,
    bool TakesCaller);

/// <summary>What can be assigned to.</summary>
abstract record Target;

sealed record NameTarget(string Name) : Target;
sealed record NamespaceTarget(string Name, string Attribute) : Target;
sealed record TupleTarget(IReadOnlyList<Target> Items) : Target;
