using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>A node that has a value.</summary>
abstract record Expression(int Line);

sealed record Constant(int Line, Value Value) : Expression(Line);
sealed record Name(int Line, string Identifier) : Expression(Line);
sealed record ListLiteral(int Line, IReadOnlyList<Expression> Items) : Expression(Line);
sealed record TupleLiteral(int Line, IReadOnlyList<Expression> Items) : Expression(Line);
sealed record DictLiteral(int Line, IReadOnlyList<(Expression Key, Expression Value)> Items) : Expression(Line);

/// <summary><c>target.name</c>: attribute first, then key.</summary>
sealed record Member(int Line, Expression Target, string Name) : Expression(Line);

/// <summary><c>target[key]</c>: key first, then attribute.</summary>
sealed record Subscript(int Line, Expression Target, Expression Key) : Expression(Line);

/// <summary><c>target[start:stop:step]</c></summary>
sealed record Slice(int Line, Expression Target, Expression? Start, Expression? Stop, Expression? Step) : Expression(Line);

sealed record Call(int Line, Expression Target, ArgumentList Arguments) : Expression(Line);

/// <param name="Input">Null where a block supplies the text: <c>{% filter upper %}</c>, <c>{% set x | trim %}</c>.</param>
sealed record FilterCall(int Line, Expression? Input, string Name, ArgumentList Arguments) : Expression(Line);

sealed record TestCall(int Line, Expression Input, string Name, ArgumentList Arguments) : Expression(Line);
sealed record Not(int Line, Expression Operand) : Expression(Line);
sealed record Sign(int Line, bool Negative, Expression Operand) : Expression(Line);
sealed record Arithmetic(int Line, string Operator, Expression Left, Expression Right) : Expression(Line);

/// <summary><c>a ~ b ~ c</c></summary>
sealed record Concatenation(int Line, IReadOnlyList<Expression> Operands) : Expression(Line);

/// <summary><c>a &lt; b &lt;= c</c>: every link holds.</summary>
sealed record Comparison(int Line, Expression First, IReadOnlyList<(string Operator, Expression Operand)> Links)
    : Expression(Line);

sealed record And(int Line, Expression Left, Expression Right) : Expression(Line);
sealed record Or(int Line, Expression Left, Expression Right) : Expression(Line);

/// <param name="Else">Null: undefined when the condition fails.</param>
sealed record Conditional(int Line, Expression Test, Expression Then, Expression? Else) : Expression(Line);

/// <param name="Spread"><c>*values</c></param>
/// <param name="KeywordSpread"><c>**values</c></param>
sealed record ArgumentList(
    IReadOnlyList<Expression> Positional,
    IReadOnlyList<(string Name, Expression Value)> Keywords,
    Expression? Spread,
    Expression? KeywordSpread)
{
    public static readonly ArgumentList Empty = new([], [], null, null);
}
