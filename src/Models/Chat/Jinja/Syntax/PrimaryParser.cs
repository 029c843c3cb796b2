using System.Globalization;
using Nibble.Models.Chat.Jinja.Operators;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>Names, literals, and what is hung onto them: <c>.name</c>, <c>[key]</c>, <c>(…)</c>, <c>| filter</c>, <c>is
/// test</c>.</summary>
sealed class PrimaryParser(TokenStream tokens, ExpressionParser outer)
{
    public HashSet<string> NamesSeen { get; } = [];

    public Expression Primary()
    {
        var token = tokens.Take();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return Named(token);
            case TokenKind.String:
                var text = token.Text;
                while (tokens.Current.Kind == TokenKind.String) // adjacent strings are one
                    text += tokens.Take().Text;
                return new Constant(token.Line, new Text(text));
            case TokenKind.Integer:
                return new Constant(token.Line, Whole(token));
            case TokenKind.Float:
                return new Constant(token.Line, new Float(double.Parse(token.Text, CultureInfo.InvariantCulture)));
        }

        if (token.Is("("))
        {
            var inner = outer.ParseTuple(parenthesized: true);
            tokens.Expect(")");
            return inner;
        }

        if (token.Is("["))
            return new ListLiteral(token.Line, Items("]", () => outer.Parse()));
        if (token.Is("{"))
            return new DictLiteral(token.Line, Items("}", Entry));
        throw new TemplateFault(token.Kind is TokenKind.PrintEnd or TokenKind.BlockEnd
            ? $"Expected an expression, got {token}"
            : $"unexpected {token}", token.Line);
    }

    public Expression Postfixes(Expression value)
    {
        while (true)
            if (tokens.Current.Is(".") || tokens.Current.Is("["))
                value = Subscript(value);
            else if (tokens.Current.Is("("))
                value = new Call(tokens.Line, value, Arguments());
            else
                return value;
    }

    public Expression FiltersAndTests(Expression value)
    {
        while (true)
            if (tokens.Current.Is("|"))
                value = Filters(value)!;
            else if (tokens.Current.IsName("is"))
                value = Test(value);
            else if (tokens.Current.Is("("))
                value = new Call(tokens.Line, value, Arguments());
            else
                return value;
    }

    public Expression Filters(Expression? input)
    {
        while (tokens.Skip("|"))
            input = Filter(input);
        return input!;
    }

    public FilterCall Filter(Expression? input)
    {
        var line = tokens.Line;
        var name = DottedName();
        return new(line, input, name, tokens.Current.Is("(") ? Arguments() : ArgumentList.Empty);
    }

    public ArgumentList Arguments()
    {
        tokens.Expect("(");
        var positional = new List<Expression>();
        var keywords = new List<(string, Expression)>();
        Expression? spread = null, keywordSpread = null;
        while (!tokens.Skip(")"))
        {
            if (positional.Count + keywords.Count > 0 || spread is not null || keywordSpread is not null)
            {
                tokens.Expect(",");
                if (tokens.Skip(")"))
                    break;
            }

            if (tokens.Current.Is("*") && spread is null && keywordSpread is null)
            {
                tokens.Take();
                spread = outer.Parse();
            }
            else if (tokens.Current.Is("**") && keywordSpread is null)
            {
                tokens.Take();
                keywordSpread = outer.Parse();
            }
            else if (tokens.Current.Kind == TokenKind.Name && tokens.Next.Is("=") && keywordSpread is null)
            {
                var name = tokens.Take().Text;
                tokens.Take();
                keywords.Add((name, outer.Parse()));
            }
            else if (keywords.Count == 0 && spread is null && keywordSpread is null)
                positional.Add(outer.Parse());
            else
                throw tokens.Fault("invalid syntax for function call expression");
        }

        return new(positional, keywords, spread, keywordSpread);
    }

    Expression Named(Token token)
    {
        switch (token.Text)
        {
            case "true" or "True":
                return new Constant(token.Line, Bool.True);
            case "false" or "False":
                return new Constant(token.Line, Bool.False);
            case "none" or "None":
                return new Constant(token.Line, None.Value);
            default:
                NamesSeen.Add(token.Text);
                return new Name(token.Line, token.Text);
        }
    }

    Expression Subscript(Expression target)
    {
        var open = tokens.Take();
        if (open.Text == ".")
        {
            var token = tokens.Take();
            return token.Kind switch
            {
                TokenKind.Name => new Member(token.Line, target, token.Text),
                TokenKind.Integer => new Subscript(token.Line, target, new Constant(token.Line, Whole(token))),
                _ => throw new TemplateFault("expected name or number", token.Line),
            };
        }

        var first = SliceOrKey(target, open.Line);
        if (first is Slice || !tokens.Current.Is(","))
        {
            tokens.Expect("]");
            return first is Slice ? first : new Subscript(open.Line, target, first);
        }

        var keys = new List<Expression> { first };
        while (tokens.Skip(",") && !tokens.Current.Is("]"))
            keys.Add(outer.Parse());
        tokens.Expect("]");
        return new Subscript(open.Line, target, new TupleLiteral(open.Line, keys));
    }

    /// <summary>A <see cref="Slice"/> of the target, or the key alone.</summary>
    Expression SliceOrKey(Expression target, int line)
    {
        var start = tokens.Current.Is(":") ? null : outer.Parse();
        if (start is not null && !tokens.Current.Is(":"))
            return start;
        tokens.Expect(":");
        var stop = Bound();
        var step = tokens.Skip(":") ? Bound() : null;
        return new Slice(line, target, start, stop, step);
    }

    Expression? Bound() => tokens.Current.Is(":") || tokens.Current.Is("]") ? null : outer.Parse();

    Expression Test(Expression input)
    {
        var line = tokens.Take().Line;
        var negated = tokens.SkipName("not");
        var name = DottedName();
        var arguments = ArgumentList.Empty;
        if (tokens.Current.Is("("))
            arguments = Arguments();
        else if (BeginsOperand(tokens.Current))
        {
            if (tokens.Current.IsName("is"))
                throw tokens.Fault("You cannot chain multiple tests with is");
            arguments = new([Postfixes(Primary())], [], null, null);
        }

        var test = new TestCall(line, input, name, arguments);
        return negated ? new Not(line, test) : test;
    }

    static bool BeginsOperand(Token token) => token.Kind switch
    {
        TokenKind.Name => token.Text is not ("else" or "or" or "and" or "if"),
        TokenKind.String or TokenKind.Integer or TokenKind.Float => true,
        _ => token.Is("[") || token.Is("{"),
    };

    string DottedName()
    {
        var name = tokens.ExpectName();
        while (tokens.Skip("."))
            name += "." + tokens.ExpectName();
        return name;
    }

    List<T> Items<T>(string close, Func<T> item)
    {
        var items = new List<T>();
        while (!tokens.Skip(close))
        {
            if (items.Count > 0)
            {
                tokens.Expect(",");
                if (tokens.Skip(close))
                    break;
            }

            items.Add(item());
        }

        return items;
    }

    (Expression, Expression) Entry()
    {
        var key = outer.Parse();
        tokens.Expect(":");
        return (key, outer.Parse());
    }

    static Integer Whole(Token token) => Conversion.Whole(token.Text, radix: 0) is { } number
        ? new(number)
        : throw new TemplateFault($"a number of {token.Text.Length} digits", token.Line);
}
