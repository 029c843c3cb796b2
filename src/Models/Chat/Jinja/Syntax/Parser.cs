namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>Blocks. Syntax errors are <see cref="TemplateFault"/>s with a line.</summary>
sealed class Parser
{
    readonly TokenStream tokens;
    readonly ExpressionParser expressions;
    readonly Stack<(string Block, int Line)> open = new();
    int loops; // around the current place, within its macro

    Parser(string source)
    {
        tokens = new(Lexer.Tokenize(source));
        expressions = new(tokens);
    }

    public static Body Parse(string source)
    {
        if (source.Length > Limits.SourceCharacters)
            throw new TemplateFault($"a template of {source.Length} characters; {Limits.SourceCharacters} are allowed", 1);
        var parser = new Parser(source);
        return parser.ParseBody();
    }

    /// <summary>Statements up to one of these tags; the tag's name is the current token then.</summary>
    Body ParseBody(params ReadOnlySpan<string> ends)
    {
        tokens.Enter();
        var statements = new List<Statement>();
        while (tokens.Current.Kind != TokenKind.End)
        {
            var token = tokens.Take();
            if (token.Kind == TokenKind.Data)
                statements.Add(new Data(token.Line, token.Text));
            else if (token.Kind == TokenKind.PrintBegin)
            {
                statements.Add(new Print(token.Line, expressions.ParseTuple()));
                tokens.Expect(TokenKind.PrintEnd, "'}}'");
            }
            else
            {
                if (tokens.Current.Kind == TokenKind.Name && ends.Contains(tokens.Current.Text))
                {
                    tokens.Leave();
                    return new(statements);
                }

                statements.Add(ParseBlock(token.Line));
            }
        }

        if (ends.Length > 0)
            throw tokens.Fault($"Unexpected end of template: {string.Join(" or ", ends.ToArray().Select(end => $"'{end}'"))} "
                + $"is missing for '{open.Peek().Block}' of line {open.Peek().Line}");
        tokens.Leave();
        return new(statements);
    }

    Statement ParseBlock(int line)
    {
        var tag = tokens.ExpectName();
        open.Push((tag, line));
        Statement result = tag switch
        {
            "if" => ParseIf(line),
            "for" => ParseFor(line),
            "set" => ParseSet(line),
            "macro" => ParseMacro(line),
            "call" => ParseCall(line),
            "with" => ParseWith(line),
            "filter" => ParseFilterBlock(line),
            "generation" => ParseGeneration(line),
            "print" => ParsePrint(line),
            "break" => ParseJump(new Break(line), tag),
            "continue" => ParseJump(new Continue(line), tag),
            "block" => ParseNamedBlock(line),
            "include" or "import" or "from" or "extends" =>
                throw new TemplateFault($"'{tag}': a template cannot load others", line),
            _ => throw new TemplateFault($"Encountered unknown tag '{tag}'.", line),
        };
        open.Pop();
        return result;
    }

    If ParseIf(int line)
    {
        var branches = new List<(Expression, Body)>();
        var otherwise = Body.Empty;
        while (true)
        {
            var test = expressions.ParseTuple(conditional: false);
            EndTag();
            branches.Add((test, ParseBody("elif", "else", "endif")));
            var next = tokens.ExpectName();
            if (next == "elif")
                continue;
            if (next == "else")
            {
                EndTag();
                otherwise = ParseBody("endif");
                tokens.ExpectName();
            }

            EndTag();
            return new(line, branches, otherwise);
        }
    }

    For ParseFor(int line)
    {
        var target = Targets.Parse(tokens, withNamespace: false, endsBefore: "in");
        if (!tokens.SkipName("in"))
            throw tokens.Fault($"unexpected {tokens.Current}, expected 'in'");
        var items = expressions.ParseTuple(conditional: false, endsBefore: "recursive");
        var test = tokens.SkipName("if") ? expressions.Parse() : null;
        var recursive = tokens.SkipName("recursive");
        EndTag();

        loops++;
        var body = ParseBody("endfor", "else");
        loops--;
        var otherwise = Body.Empty;
        if (tokens.ExpectName() == "else")
        {
            EndTag();
            otherwise = ParseBody("endfor");
            tokens.ExpectName();
        }

        EndTag();
        return new(line, target, items, test, recursive, body, otherwise);
    }

    Statement ParseSet(int line)
    {
        var target = Targets.Parse(tokens, withNamespace: true);
        if (tokens.Skip("="))
        {
            var value = expressions.ParseTuple();
            EndTag();
            return new Set(line, target, value);
        }

        var filter = tokens.Skip("|") ? expressions.ParseBlockFilter() : null;
        EndTag();
        return new SetBlock(line, target, filter, BodyUntil("endset"));
    }

    With ParseWith(int line)
    {
        var values = new List<(Target, Expression)>();
        while (tokens.Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0)
                tokens.Expect(",");
            var target = Targets.Parse(tokens, withNamespace: false, single: true);
            tokens.Expect("=");
            values.Add((target, expressions.Parse()));
        }

        EndTag();
        return new(line, values, BodyUntil("endwith"));
    }

    MacroDefinition ParseMacro(int line) => new(line, ParseSignature(tokens.ExpectName(), "endmacro", hasParameters: true));

    CallBlock ParseCall(int line)
    {
        var parameters = tokens.Current.Is("(") ? ParseParameters() : [];
        if (expressions.ParseUnary() is not Call call)
            throw new TemplateFault("a call block needs the call of a macro", line);
        return new(line, call, ParseSignature("caller", "endcall", hasParameters: false) with { Parameters = parameters });
    }

    Signature ParseSignature(string name, string end, bool hasParameters)
    {
        var parameters = hasParameters ? ParseParameters() : [];
        EndTag();
        var outerNames = expressions.NamesSeen.ToArray();
        expressions.NamesSeen.Clear();
        var body = OutsideLoops(() => BodyUntil(end));
        var seen = expressions.NamesSeen;
        var signature = new Signature(
            name, parameters, body, seen.Contains("varargs"), seen.Contains("kwargs"), seen.Contains("caller"));
        seen.UnionWith(outerNames);
        return signature;
    }

    List<(string, Expression?)> ParseParameters()
    {
        var parameters = new List<(string, Expression?)>();
        tokens.Expect("(");
        while (!tokens.Skip(")"))
        {
            if (parameters.Count > 0)
                tokens.Expect(",");
            var name = tokens.ExpectName();
            var value = tokens.Skip("=") ? expressions.Parse() : null;
            if (value is null && parameters is [.., (_, not null)])
                throw tokens.Fault("non-default argument follows default argument");
            parameters.Add((name, value));
        }

        return parameters;
    }

    FilterBlock ParseFilterBlock(int line)
    {
        var filter = expressions.ParseBlockFilter();
        EndTag();
        return new(line, filter, BodyUntil("endfilter"));
    }

    Generation ParseGeneration(int line)
    {
        EndTag();
        return new(line, OutsideLoops(() => BodyUntil("endgeneration")));
    }

    With ParseNamedBlock(int line)
    {
        var name = tokens.ExpectName();
        EndTag();
        var body = OutsideLoops(() => ParseBody("endblock"));
        tokens.Take();
        tokens.SkipName(name);
        EndTag();
        return new(line, [], body);
    }

    Print ParsePrint(int line)
    {
        var value = expressions.ParseTuple();
        EndTag();
        return new(line, value);
    }

    Statement ParseJump(Statement jump, string tag)
    {
        if (loops == 0)
            throw new TemplateFault($"'{tag}' outside a loop", jump.Line);
        EndTag();
        return jump;
    }

    /// <summary>A body from which no break or continue reaches the loops around it.</summary>
    Body OutsideLoops(Func<Body> parse)
    {
        var outer = loops;
        loops = 0;
        var body = parse();
        loops = outer;
        return body;
    }

    Body BodyUntil(string end)
    {
        var body = ParseBody(end);
        tokens.Take();
        EndTag();
        return body;
    }

    void EndTag() => tokens.Expect(TokenKind.BlockEnd, "'%}'");
}
