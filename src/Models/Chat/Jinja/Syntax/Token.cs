namespace Nibble.Models.Chat.Jinja.Syntax;

enum TokenKind { Data, PrintBegin, PrintEnd, BlockBegin, BlockEnd, Name, String, Integer, Float, Operator, End }

/// <param name="Text">Spelling; the value of a string; the text between tags.</param>
/// <param name="Line">Counted from 1.</param>
readonly record struct Token(TokenKind Kind, string Text, int Line)
{
    public bool Is(string op) => Kind == TokenKind.Operator && Text == op;
    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;

    public override string ToString() => Kind switch
    {
        TokenKind.PrintBegin => "'{{'",
        TokenKind.PrintEnd => "'}}'",
        TokenKind.BlockBegin => "'{%'",
        TokenKind.BlockEnd => "'%}'",
        TokenKind.Data => "text",
        TokenKind.String => "a string",
        TokenKind.End => "the end of the template",
        _ => $"'{Text}'",
    };
}
