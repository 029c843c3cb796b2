using System.Text;

namespace Nibble.Models.Tokenizer;

/// <summary>Decodes tokens one at a time. Not for several threads at once.</summary>
/// <remarks>
/// The text so far is the decoded text of all tokens so far without those bytes at its end that a further byte could still
/// complete to a character.
/// </remarks>
public sealed class TokenStream
{
    readonly Tokenizer tokenizer;
    readonly bool skipSpecialTokens;
    readonly Decoder decoder = System.Text.Encoding.UTF8.GetDecoder(); // holds back exactly such bytes

    internal TokenStream(Tokenizer tokenizer, bool skipSpecialTokens)
    {
        this.tokenizer = tokenizer;
        this.skipSpecialTokens = skipSpecialTokens;
    }

    /// <summary>The text this token completes; often a word, sometimes nothing. An id without a token adds nothing.</summary>
    public string Next(int id) => Text(tokenizer.BytesOf(id, skipSpecialTokens), flush: false);

    /// <summary>What is held back, as U+FFFD; afterwards the stream is at its beginning.</summary>
    public string Flush() => Text([], flush: true);

    string Text(ReadOnlySpan<byte> bytes, bool flush)
    {
        var chars = new char[decoder.GetCharCount(bytes, flush)];
        var count = decoder.GetChars(bytes, chars, flush);
        return new string(chars, 0, count);
    }
}
