using System.Text.Json;
using Nibble.Models.Tokenizer.Normalizers;
using Nibble.Models.Tokenizer.PreTokenizers;

namespace Nibble.Models.Tokenizer;

/// <summary>Text to token ids and back, as a <c>tokenizer.json</c> of the byte-level BPE family describes it.</summary>
/// <remarks>
/// GPT-2, Llama 3, Qwen, SmolLM, Mistral-Nemo, DeepSeek, Phi and their relatives. Truncation and padding are not applied. All
/// members may be called from several threads.
/// </remarks>
public sealed class Tokenizer
{
    /// <summary>Code points of one text; a bound on memory.</summary>
    internal const int LongestText = 1 << 26;

    const int LargestFile = 1 << 27; // bytes; four times the largest published one
    const int DeepestFile = 32;

    readonly Vocabulary vocabulary;
    readonly Bpe model;
    readonly Normalizer? normalizer;
    readonly PreTokenizer? preTokenizer;
    readonly PostProcessor? postProcessor;
    readonly AddedTokenFinder inText, inNormalizedText;
    readonly HashSet<int> special;
    readonly byte[]?[] bytes; // by id, filled on first use

    Tokenizer(Field root)
    {
        (vocabulary, model) = BpeField.Read(root["model"]);
        AddedTokens = ReadAddedTokens(root, vocabulary);
        normalizer = Normalizer.Read(root.Find("normalizer"));
        preTokenizer = PreTokenizer.Read(root.Find("pre_tokenizer"));
        postProcessor = PostProcessor.Read(root.Find("post_processor"), vocabulary);
        RequireByteLevel(root["decoder"]);

        special = [.. AddedTokens.Where(token => token.Special).Select(token => token.Id)];
        bytes = new byte[vocabulary.Size][];
        // of two spelled alike (after normalization) a special one counts first, then the order of the file
        var ordered = AddedTokens.OrderBy(token => !token.Special).ToLookup(token => token.Normalized);
        inText = new AddedTokenFinder(ordered[false].Select(token => (token, Text.Of(token.Content))));
        inNormalizedText = new AddedTokenFinder(ordered[true].Select(token => (token, Normalized(Text.Of(token.Content)))));
    }

    /// <summary>Reads a <c>tokenizer.json</c>.</summary>
    /// <param name="tokenizerJson">The file's bytes, UTF-8.</param>
    /// <param name="origin">Its name, for errors.</param>
    /// <exception cref="ModelException">Damaged, inconsistent or of an unsupported kind; the message names the place.</exception>
    public static Tokenizer Parse(ReadOnlySpan<byte> tokenizerJson, string origin)
    {
        if (tokenizerJson.Length > LargestFile)
            throw new ModelException($"{origin} has {tokenizerJson.Length} bytes; at most {LargestFile} are read.");
        try
        {
            var reader = new Utf8JsonReader(tokenizerJson, new JsonReaderOptions { MaxDepth = DeepestFile });
            using var document = JsonDocument.ParseValue(ref reader);
            reader.Read(); // an error unless only white space is left
            return new Tokenizer(new Field(document.RootElement, origin + ":"));
        }
        catch (JsonException e)
        {
            throw new ModelException($"{origin} is not valid JSON: {e.Message}", e);
        }
    }

    /// <summary>One more than the largest id, so that every id indexes an array of this size.</summary>
    public int VocabularySize => vocabulary.Size;

    /// <summary>The added tokens in the order of the file.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; }

    /// <summary>The id of a token as the file spells it (byte letters, not text); null when there is none.</summary>
    public int? IdOf(string token) => vocabulary.Ids.TryGetValue(token, out var id) ? id : null;

    /// <summary>The token as the file spells it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No token has this id.</exception>
    public string TokenOf(int id) =>
        vocabulary[id] ?? throw new ArgumentOutOfRangeException(nameof(id), id, "No token has this id.");

    /// <summary>Token ids of a text. Added tokens are recognised in it, special ones too.</summary>
    /// <param name="addSpecialTokens">Whether to add what the file puts around a text, such as a token for its beginning.</param>
    public int[] Encode(string text, bool addSpecialTokens = true) => [.. Run(text, addSpecialTokens, aligned: false).Ids];

    /// <summary>As <see cref="Encode"/>, with the range of the text each token came from.</summary>
    public Encoding EncodeWithOffsets(string text, bool addSpecialTokens = true)
    {
        var tokens = Run(text, addSpecialTokens, aligned: true);
        return new Encoding([.. tokens.Ids], [.. tokens.Offsets!]);
    }

    /// <summary>The text of token ids. Bytes that are not UTF-8 become U+FFFD; ids without a token are passed over.</summary>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecialTokens = false)
    {
        var utf8 = new List<byte>(4 * ids.Length);
        foreach (var id in ids)
            utf8.AddRange(BytesOf(id, skipSpecialTokens));
        return System.Text.Encoding.UTF8.GetString(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(utf8));
    }

    /// <summary>A decoder for tokens that arrive one at a time.</summary>
    public TokenStream Stream(bool skipSpecialTokens) => new(this, skipSpecialTokens);

    internal byte[] BytesOf(int id, bool skipSpecialTokens)
    {
        if (vocabulary[id] is not { } token || skipSpecialTokens && special.Contains(id))
            return [];
        return bytes[id] ??= ByteLetters.BytesOf(token);
    }

    Tokens Run(string text, bool addSpecialTokens, bool aligned)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length > LongestText)
            throw new ModelException($"A text has {text.Length} characters; at most {LongestText} are encoded at once.");
        var tokens = new Tokens([], aligned ? [] : null);
        var lengths = new List<int>();
        var raw = Text.Of(text, aligned);
        foreach (var (start, end, token) in inText.Cut(raw))
            if (token is not null)
                Add(token, raw, start, end, tokens);
            else
                EncodeRaw(raw.Slice(start, end), tokens, lengths);
        postProcessor?.Apply(tokens, addSpecialTokens);
        return tokens;
    }

    void EncodeRaw(Text raw, Tokens tokens, List<int> lengths)
    {
        var text = Normalized(raw);
        foreach (var (start, end, token) in inNormalizedText.Cut(text))
            if (token is not null)
                Add(token, text, start, end, tokens);
            else
                EncodePlain(text.Slice(start, end), tokens, lengths);
    }

    void EncodePlain(Text text, Tokens tokens, List<int> lengths)
    {
        var pieces = new Pieces(text, [(0, text.Length)]);
        if (preTokenizer is not null)
            pieces = preTokenizer.Cut(pieces);
        foreach (var (start, end) in pieces.Ranges)
        {
            lengths.Clear();
            model.Encode(pieces.Text.Points[start..end], tokens.Ids, lengths);
            if (tokens.Offsets is null)
                continue;
            var at = start;
            foreach (var length in lengths)
                tokens.Offsets.Add((pieces.Text.StartOf(at), pieces.Text.EndOf((at += length) - 1)));
        }
    }

    static void Add(AddedToken token, Text text, int start, int end, Tokens tokens)
    {
        tokens.Ids.Add(token.Id);
        tokens.Offsets?.Add((text.StartOf(start), text.EndOf(end - 1)));
    }

    Text Normalized(Text text) => normalizer?.Apply(text) ?? text;

    static AddedToken[] ReadAddedTokens(Field root, Vocabulary vocabulary)
    {
        if (root.Find("added_tokens") is not { } field)
            return [];
        AddedToken[] tokens = [.. field.Items().Select(AddedToken.Read)];
        foreach (var token in tokens)
            vocabulary.Add(token.Content, token.Id, field.Place, again: true);
        return tokens;
    }

    static void RequireByteLevel(Field decoder)
    {
        var type = decoder["type"].Text();
        if (type == "Sequence" && decoder["decoders"].Items().ToArray() is [var only])
            RequireByteLevel(only);
        else if (type != "ByteLevel")
            throw decoder.Unsupported("decoder", type, "ByteLevel, alone or as the only one of a Sequence");
    }
}
