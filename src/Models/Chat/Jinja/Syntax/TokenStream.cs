namespace Nibble.Models.Chat.Jinja.Syntax;

/// <summary>The tokens of a template and how far they are read.</summary>
sealed class TokenStream(IReadOnlyList<Token> tokens)
{
    int position;
    int depth;

    public Token Current => tokens[position];
    public Token Next => tokens[Math.Min(position + 1, tokens.Count - 1)];
    public int Line => Current.Line;

    public Token Take()
    {
        var token = tokens[position];
        if (position < tokens.Count - 1)
            position++;
        return token;
    }

    public bool Skip(string op) => Current.Is(op) && Taken();

    public bool SkipName(string name) => Current.IsName(name) && Taken();

    public void Expect(string op)
    {
        if (!Skip(op))
            throw Fault($"unexpected {Current}, expected '{op}'");
    }

    public string ExpectName() => Current.Kind == TokenKind.Name
        ? Take().Text
        : throw Fault($"unexpected {Current}, expected a name");

    public void Expect(TokenKind kind, string description)
    {
        if (Take() is var token && token.Kind != kind)
            throw new TemplateFault($"unexpected {token}, expected {description}", token.Line);
    }

    /// <summary>Called where the parser calls itself.</summary>
    public void Enter()
    {
        if (++depth > Limits.Nesting)
            throw Fault($"more than {Limits.Nesting} blocks and expressions inside each other");
        Budget.Stack();
    }

    public void Leave() => depth--;

    public TemplateFault Fault(string message) => new(message, Line);

    bool Taken()
    {
        Take();
        return true;
    }
}
