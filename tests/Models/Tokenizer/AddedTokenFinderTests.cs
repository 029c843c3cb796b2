using Nibble.Models.Tokenizer;

namespace Nibble.Tests.Models.Tokenizer;

public class AddedTokenFinderTests
{
    static (AddedToken, Text) Token(int id, string spelling) =>
        (new AddedToken(id, spelling, false, false, false, false, false), Text.Of(spelling));

    static string Cut(string text, params (AddedToken, Text)[] tokens) =>
        string.Join(" ", new AddedTokenFinder(tokens).Cut(Text.Of(text))
            .Select(cut => $"{cut.Start}-{cut.End}:{cut.Token?.Id.ToString() ?? "text"}"));

    [Fact]
    public void Of_two_tokens_spelled_alike_the_first_counts() =>
        Assert.Equal("0-1:7 1-2:text", Cut("xy", Token(7, "x"), Token(8, "x")));

    [Fact]
    public void An_empty_spelling_is_never_found() => Assert.Equal("0-2:text", Cut("xy", Token(7, "")));

    [Fact]
    public void The_earliest_match_wins_and_then_the_longest() =>
        Assert.Equal("0-1:text 1-3:1 3-4:text 4-7:3", Cut("xabcbcd", Token(1, "ab"), Token(2, "bc"), Token(3, "bcd")));

    [Fact]
    public void A_token_beyond_the_first_plane_is_found() => Assert.Equal("0-1:text 1-2:5", Cut("a😀", Token(5, "😀")));
}
