using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>Expressions, loosest first: if/else, or, and, not, comparisons, + -, ~, * / // %, **, signs, postfixes, filters
/// and tests.</summary>
/// <remarks>As in Jinja, and unlike Python: a sign binds tighter than **, and ** groups from the left.</remarks>
sealed class ExpressionParser
{
    static readonly HashSet<string> Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    readonly TokenStream tokens;
    readonly PrimaryParser primary;

    public ExpressionParser(TokenStream tokens)
    {
        this.tokens = tokens;
        primary = new(tokens, this);
    }

    /// <summary>Names read so far; macros look for: <c>varargs</c>, <c>kwargs</c>, <c>caller</c>.</summary>
    public HashSet<string> NamesSeen => primary.NamesSeen;

    public Expression Parse(bool conditional = true)
    {
        tokens.Enter();
        var result = conditional ? Conditional() : Or();
        tokens.Leave();
        return result;
    }

    /// <summary>An expression, or several with commas between them as a tuple.</summary>
    /// <param name="endsBefore">A name that ends the list.</param>
    public Expression ParseTuple(bool conditional = true, string? endsBefore = null, bool parenthesized = false)
    {
        var line = tokens.Line;
        var items = new List<Expression>();
        var isTuple = false;
        while (true)
        {
            if (tokens.Current.Kind is TokenKind.PrintEnd or TokenKind.BlockEnd || tokens.Current.Is(")")
                || endsBefore is not null && tokens.Current.IsName(endsBefore))
                break;
            items.Add(Parse(conditional));
            if (!tokens.Skip(","))
                break;
            isTuple = true;
        }

        if (!isTuple && items.Count == 1)
            return items[0];
        return items.Count > 0 || parenthesized
            ? new TupleLiteral(line, items)
            : throw tokens.Fault($"Expected an expression, got {tokens.Current}");
    }

    public Expression ParseFilters(Expression? input) => primary.Filters(input);

    /// <summary>A filter's name and arguments where the bar before it is written as a word: <c>{% filter upper %}</c>.</summary>
    public Expression ParseBlockFilter() => primary.Filters(primary.Filter(null));

    public ArgumentList ParseArguments() => primary.Arguments();

    public Expression ParseUnary() => Unary(filters: true);

    Expression Conditional()
    {
        var value = Or();
        while (tokens.Current.IsName("if"))
        {
            var line = tokens.Take().Line;
            var test = Or();
            Expression? otherwise = null;
            if (tokens.SkipName("else"))
                otherwise = Parse();
            value = new Conditional(line, test, value, otherwise);
        }

        return value;
    }

    Expression Or()
    {
        var left = And();
        while (tokens.Current.IsName("or"))
            left = new Or(tokens.Take().Line, left, And());
        return left;
    }

    Expression And()
    {
        var left = Not();
        while (tokens.Current.IsName("and"))
            left = new And(tokens.Take().Line, left, Not());
        return left;
    }

    Expression Not()
    {
        if (!tokens.Current.IsName("not"))
            return Compare();
        tokens.Enter();
        var result = new Not(tokens.Take().Line, Not());
        tokens.Leave();
        return result;
    }

    Expression Compare()
    {
        var line = tokens.Line;
        var first = Sum();
        var links = new List<(string, Expression)>();
        while (true)
            if (tokens.Current.Kind == TokenKind.Operator && Comparisons.Contains(tokens.Current.Text))
                links.Add((tokens.Take().Text, Sum()));
            else if (tokens.SkipName("in"))
                links.Add(("in", Sum()));
            else if (tokens.Current.IsName("not") && tokens.Next.IsName("in"))
            {
                tokens.Take();
                tokens.Take();
                links.Add(("not in", Sum()));
            }
            else
                return links.Count == 0 ? first : new Comparison(line, first, links);
    }

    Expression Sum()
    {
        var left = Concatenation();
        while (tokens.Current.Is("+") || tokens.Current.Is("-"))
        {
            var op = tokens.Take();
            left = new Arithmetic(op.Line, op.Text, left, Concatenation());
        }

        return left;
    }

    Expression Concatenation()
    {
        var line = tokens.Line;
        var operands = new List<Expression> { Product() };
        while (tokens.Skip("~"))
            operands.Add(Product());
        return operands.Count == 1 ? operands[0] : new Concatenation(line, operands);
    }

    Expression Product()
    {
        var left = Power();
        while (tokens.Current is { Kind: TokenKind.Operator, Text: "*" or "/" or "//" or "%" })
        {
            var op = tokens.Take();
            left = new Arithmetic(op.Line, op.Text, left, Power());
        }

        return left;
    }

    Expression Power()
    {
        var left = Unary(filters: true);
        while (tokens.Current.Is("**"))
            left = new Arithmetic(tokens.Take().Line, "**", left, Unary(filters: true));
        return left;
    }

    /// <param name="filters">False behind a sign: <c>-5|abs</c> is <c>(-5)|abs</c>.</param>
    Expression Unary(bool filters)
    {
        tokens.Enter();
        var line = tokens.Line;
        var value = tokens.Skip("-") ? new Sign(line, true, Unary(false))
            : tokens.Skip("+") ? new Sign(line, false, Unary(false))
            : primary.Primary();
        value = primary.Postfixes(value);
        if (filters)
            value = primary.FiltersAndTests(value);
        tokens.Leave();
        return value;
    }
}
