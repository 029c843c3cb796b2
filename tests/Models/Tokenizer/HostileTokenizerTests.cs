using System.Text;
using System.Text.Json.Nodes;
using Nibble.Models;
using Nibble.Tests.Support;
using ByteLevelTokenizer = Nibble.Models.Tokenizer.Tokenizer;

namespace Nibble.Tests.Models.Tokenizer;

/// <summary>Every way a file can lie gets one error that names the place.</summary>
public class HostileTokenizerTests
{
    static readonly string good = File.ReadAllText(Repository.Fixture("tokenizers/qwen2/tokenizer.json"));

    static string Error(string json) => Error(Encoding.UTF8.GetBytes(json));

    static string Error(byte[] json) =>
        Assert.Throws<ModelException>(() => ByteLevelTokenizer.Parse(json, "tokenizer.json")).Message;

    /// <summary>The error after one change; <paramref name="value"/> is JSON, and null takes the member away.</summary>
    static string ErrorWith(string path, string? value)
    {
        var root = JsonNode.Parse(good)!;
        var names = path.Split('/');
        var at = root;
        foreach (var name in names[..^1])
            at = int.TryParse(name, out var index) ? at[index]! : at[name]!;
        if (at is JsonArray array)
            array[int.Parse(names[^1])] = JsonNode.Parse(value!);
        else if (value is null)
            at.AsObject().Remove(names[^1]);
        else
            at[names[^1]] = JsonNode.Parse(value);
        return Error(root.ToJsonString());
    }

    [Theory]
    [InlineData("model/type", "\"Unigram\"", "tokenizer.json: model: model Unigram is not supported; supported: BPE.")]
    [InlineData("model/byte_fallback", "true", "byte_fallback is not supported")]
    [InlineData("model/dropout", "0.1", "dropout is not supported")]
    [InlineData("model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix is not supported")]
    [InlineData("model/continuing_subword_prefix", "\"##\"", "continuing_subword_prefix is not supported")]
    [InlineData("normalizer", "{\"type\": \"Precompiled\"}", "normalizer Precompiled is not supported; supported: NFC")]
    [InlineData("pre_tokenizer", "{\"type\": \"Metaspace\"}", "pre-tokenizer Metaspace is not supported; supported: ByteLevel")]
    [InlineData("post_processor", "{\"type\": \"BertProcessing\"}", "post-processor BertProcessing is not supported")]
    [InlineData("decoder", "{\"type\": \"WordPiece\"}", "decoder WordPiece is not supported; supported: ByteLevel")]
    [InlineData("decoder", "{\"type\": \"Sequence\", \"decoders\": []}", "decoder Sequence is not supported")]
    public void Components_of_other_families_are_named(string path, string value, string message) =>
        Assert.Contains(message, ErrorWith(path, value));

    [Theory]
    [InlineData("model", null, "tokenizer.json: model is missing")]
    [InlineData("model/vocab", null, "model.vocab is missing")]
    [InlineData("model/vocab", "[]", "model.vocab must be an object of tokens and ids, found []")]
    [InlineData("model/vocab/!", "-1", "the token \"!\" has the id -1; ids go from 0 to 4194303")]
    [InlineData("model/vocab/!", "4194304", "the id 4194304")]
    [InlineData("model/vocab/!", "99999999999", "model.vocab[\"!\"] must be a token id, found 99999999999")]
    [InlineData("model/vocab/!", "1", "have the same id 1")]
    [InlineData("model/merges", "{}", "model.merges must be an array")]
    [InlineData("model/merges/3", "\"a b c\"", "must be \"left right\" or [\"left\", \"right\"] at index 3, found \"a b c\"")]
    [InlineData("model/merges/3", "[\"a\"]", "at index 3")]
    [InlineData("model/merges/3", "7", "at index 3")]
    [InlineData("model/merges/3", "[\"a\", 1]", "model.merges must be a string")]
    [InlineData("model/merges/3", "\"! nosuch\"", "model.merges[3]: \"!\", \"nosuch\" and \"!nosuch\" must all be tokens")]
    [InlineData("model/unk_token", "\"nosuch\"", "model.unk_token must be a token of the vocabulary")]
    [InlineData("model/ignore_merges", "1", "model.ignore_merges must be true or false, found 1")]
    [InlineData("added_tokens/0/id", "0", "have the same id 0")]
    [InlineData("added_tokens/0/content", "\"!\"", "has two ids, 0 and 1300")]
    [InlineData("added_tokens/0/id", "1.5", "added_tokens[0].id must be a 32-bit integer, found 1.5")]
    [InlineData("added_tokens", "7", "added_tokens must be an array")]
    [InlineData("normalizer", "7", "normalizer must be an object, found 7")]
    [InlineData("normalizer", "{}", "normalizer.type is missing")]
    [InlineData("pre_tokenizer/pretokenizers/0/behavior", "\"X\"", "pretokenizers[0].behavior must be Removed, Isolated")]
    [InlineData("pre_tokenizer/pretokenizers/0/pattern", "{}", "pre_tokenizer.pretokenizers[0].pattern must be")]
    [InlineData("pre_tokenizer/pretokenizers/0/pattern", "{\"Regex\": \"(\"}", "pretokenizers[0].pattern: The pattern ( has")]
    [InlineData("decoder", null, "decoder is missing")]
    [InlineData("post_processor", "{\"type\": \"TemplateProcessing\", \"single\": []}", "must be a template with one sequence")]
    [InlineData("post_processor",
        "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}], \"special_tokens\": {}}",
        "one of special_tokens")]
    [InlineData("post_processor",
        "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}], "
            + "\"special_tokens\": {\"x\": {\"ids\": [9999]}}}",
        "special_tokens.x.ids[0] must be the id of a token")]
    public void A_lie_is_found_and_named(string path, string? value, string message) =>
        Assert.Contains(message, ErrorWith(path, value));

    [Fact]
    public void Damaged_JSON_is_named()
    {
        var compact = JsonNode.Parse(good)!.ToJsonString();
        Assert.StartsWith("tokenizer.json is not valid JSON", Error(good[..^10]));
        Assert.StartsWith("tokenizer.json is not valid JSON", Error(good + "x"));
        Assert.StartsWith("tokenizer.json is not valid JSON", Error(good + "{}"));
        Assert.StartsWith("tokenizer.json is not valid JSON", Error(""));
        Assert.Contains("must be an object", Error("[]"));
        Assert.StartsWith("tokenizer.json is not valid JSON", Error(new string('[', 100_000)));
        Assert.Contains("not valid Unicode", Error(compact.Replace("\"!\":0", "\"\\ud800\":0")));
        Assert.Contains("two ids", Error(compact.Replace("\"vocab\":{", "\"vocab\":{\"!\":5000,")));
    }

    [Fact]
    public void Damaged_bytes_never_escape_as_another_exception()
    {
        var bytes = Encoding.UTF8.GetBytes(good);
        var random = new Random(1);
        for (var round = 0; round < 60; round++)
        {
            var damaged = bytes.ToArray();
            for (var i = 0; i < 3; i++)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            try
            {
                ByteLevelTokenizer.Parse(damaged, "damaged").Encode("Hello world, 123\n");
            }
            catch (ModelException e)
            {
                Assert.Contains("damaged", e.Message);
            }
        }
    }
}
