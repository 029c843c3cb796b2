using Nibble.Models;
using Nibble.Models.Tokenizer;
using Nibble.Models.Tokenizer.Patterns;

namespace Nibble.Tests.Models.Tokenizer;

/// <summary>What Oniguruma's manual (doc/RE of 6.9) says, where the recorded cases do not reach.</summary>
public class PatternTests
{
    static string Matches(string pattern, string text)
    {
        var points = Text.Of(text);
        var matches = new List<(int Start, int End)>();
        Pattern.Parse(pattern).Find(points.Points, matches);
        return string.Join("|", matches.Select(match => points.Slice(match.Start, match.End).ToString()));
    }

    [Theory]
    [InlineData("ab|a", "aba", "ab|a")]                      // the first alternative that fits, not the longest
    [InlineData("a|ab", "aba", "a|a")]
    [InlineData("a{2,3}", "aaaaaaa", "aaa|aaa")]
    [InlineData("a{2,3}?", "aaaaaaa", "aa|aa|aa")]
    [InlineData("a{,2}b", "aaab", "aab")]
    [InlineData("a{2}?b", "aabb", "aab|b")]                  // {n}? is an optional {n}
    [InlineData("a{1,2}+b", "aaaab", "aaaab")]               // {n,m}+ repeats, it is not possessive
    [InlineData("a{x}{1", "a{x}{1", "a{x}{1")]               // no interval: plain characters
    [InlineData("a++a", "aaa", "")]                          // possessive: nothing is given back
    [InlineData("a+a", "aaa", "aaa")]
    [InlineData("(?:ab)*+ab", "ababab", "")]
    [InlineData("(?:ab)*ab", "ababab", "ababab")]
    [InlineData("(?:ab)+?", "abab", "ab|ab")]
    [InlineData("(?>a|ab)c", "abc", "")]
    [InlineData("(?<word>a|ab)c", "abc", "abc")]
    [InlineData("a.c", "a\nc abc", "abc")]
    [InlineData("^a$", "a\nb\na", "a|a")]                    // lines, not the text
    [InlineData(@"\Aa|a\z", "aaa", "a|a")]
    [InlineData(@"a\Z", "a\na\n", "a")]
    [InlineData(@"(?=b)|a", "abb", "a|")]                    // an empty match right after a match is dropped
    [InlineData("(?#note)a", "a", "a")]
    [InlineData("(?i)aK", "Ak a\u212A", "Ak|a\u212A")]
    [InlineData("(?i:s|é)t", "St \u017Ft ÉT Ét", "St|\u017Ft|Ét")]
    [InlineData("(?i:[^a])b", "Ab cb", "cb")]
    [InlineData("(?i:a(?-i:b))", "Ab AB", "Ab")]
    [InlineData("[a-c&&[^b]]+", "abcab", "a|ca")]
    [InlineData("[[a-c]x-]+", "abx-d", "abx-")]
    [InlineData(@"[^\S\n]+", " \t\n ", " \t| ")]
    [InlineData(@"\p{^L}\P{Nd}\p{Other_x}?", "1a", null)]
    [InlineData(@"\p{Lu}\p{ll}", "aBc𐐀𐐨", "Bc|𐐀𐐨")]
    [InlineData(@"\p{^L}\P{Nd}", "1a", "1a")]
    [InlineData(@"\w+", "a_1é\u0301-ⓐ٣", "a_1é\u0301|ⓐ٣")]
    [InlineData(@"\h+\H", "beefy", "beefy")]
    [InlineData(@"\x41\u0042\x{1F600}\t", "AB😀\t", "AB😀\t")]
    public void A_construct_means_what_the_manual_says(string pattern, string text, string? matches)
    {
        if (matches is null)
            Assert.Throws<ModelException>(() => Matches(pattern, text));
        else
            Assert.Equal(matches, Matches(pattern, text));
    }

    [Theory]
    [InlineData("(a", "( without its )")]
    [InlineData("a)", "an unmatched )")]
    [InlineData("[a", "an end in the middle")]
    [InlineData("[]", "an empty class")]
    [InlineData("[b-a]", "wrong order")]
    [InlineData("a{3,2}", "wrong order")]
    [InlineData("a{999999999999}", "a repetition count above")]
    [InlineData("*a", "a repetition of nothing")]
    [InlineData(@"(a)\1", @"the escape \1")]
    [InlineData(@"\b", @"the escape \b")]
    [InlineData("(?<=a)b", "a kind of group")]
    [InlineData("(?<!a)b", "a kind of group")]
    [InlineData("a(?i)b", "an option")]
    [InlineData("(?m:a)", "a kind of group")]
    [InlineData("[[:alpha:]]", "a POSIX bracket")]
    [InlineData(@"\p{Greek}", "the property Greek")]
    [InlineData(@"\x{110000}", "no code point")]
    [InlineData(@"\u12", "too few hexadecimal digits")]
    [InlineData("(?:a*)*", "can match nothing")]
    [InlineData("(?:(?:(?:ab){99}){99}){99}", "is too large")]
    [InlineData("a????????????????????", "too many repetitions")]
    public void What_is_not_supported_is_named(string pattern, string message) =>
        Assert.Contains(message, Assert.Throws<ModelException>(() => Pattern.Parse(pattern)).Message);

    [Fact]
    public void Depth_and_size_are_bounded()
    {
        Assert.Throws<ModelException>(() => Pattern.Parse(new string('(', 5000)));
        Assert.Throws<ModelException>(() => Pattern.Parse(new string('[', 5000)));
        Assert.Throws<ModelException>(() => Pattern.Parse(new string('a', 10_001)));
        Assert.Equal("|", Matches("(?:(?:){99999}){99999}", "a")); // nothing, ten thousand million times
    }

    [Theory]
    [InlineData("(?:a|a)*b")]
    [InlineData("(?:a+)+b")]
    [InlineData("a*a*a*a*b")]
    public void Endless_backtracking_is_given_up(string pattern)
    {
        var error = Assert.Throws<ModelException>(() => Matches(pattern, new string('a', 3000)));
        Assert.Contains("backtracks without end", error.Message);
    }
}
