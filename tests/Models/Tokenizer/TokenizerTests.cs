using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Nibble.Tests.Support;
using static Nibble.Tests.Models.Tokenizer.TokenizerFixtures;
using ByteLevelTokenizer = Nibble.Models.Tokenizer.Tokenizer;

namespace Nibble.Tests.Models.Tokenizer;

public class TokenizerTests
{
    public static TheoryData<string> Styles() =>
        ["gpt2", "qwen2", "llama3", "smollm", "tekken", "o200k", "deepseek_v3", "phi2", "whisper", "added_tokens"];

    [Theory, MemberData(nameof(Styles))]
    public void Texts_give_the_recorded_ids(string style)
    {
        var tokenizer = Load(style);
        foreach (var item in Cases(style, "cases"))
        {
            var (text, ids) = (TextOf(item), Ints(item, "ids"));
            Assert.Equal(ids, tokenizer.Encode(text, addSpecialTokens: false));
            Assert.Equal(item.TryGetProperty("special", out _) ? Ints(item, "special") : ids, tokenizer.Encode(text));
        }
    }

    [Theory, MemberData(nameof(Styles))]
    public void Offsets_are_the_recorded_ones(string style)
    {
        var tokenizer = Load(style);
        foreach (var item in Cases(style, "cases"))
        {
            var encoding = tokenizer.EncodeWithOffsets(TextOf(item), addSpecialTokens: false);
            Assert.Equal(Ints(item, "ids"), encoding.Ids);
            Assert.Equal(Ints(item, "offsets"), encoding.Offsets.SelectMany(range => new[] { range.Start, range.End }));
        }
    }

    [Theory, MemberData(nameof(Styles))]
    public void Ids_give_the_recorded_texts(string style)
    {
        var tokenizer = Load(style);
        foreach (var item in Cases(style, "cases"))
        {
            var ids = Ints(item, "ids");
            var decoded = Find(item, "decoded") ?? TextOf(item);
            Assert.Equal(decoded, tokenizer.Decode(ids));
            Assert.Equal(Find(item, "decoded_skip") ?? decoded, tokenizer.Decode(ids, skipSpecialTokens: true));
            if (Find(item, "decoded_special") is not { } special)
                continue;
            ids = item.TryGetProperty("special", out _) ? Ints(item, "special") : ids;
            Assert.Equal(special, tokenizer.Decode(ids));
            Assert.Equal(Find(item, "decoded_special_skip"), tokenizer.Decode(ids, skipSpecialTokens: true));
        }
        foreach (var item in Cases(style, "decode"))
        {
            Assert.Equal(item.GetProperty("decoded").GetString(), tokenizer.Decode(Ints(item, "ids")));
            Assert.Equal(Find(item, "decoded_skip"), tokenizer.Decode(Ints(item, "ids"), skipSpecialTokens: true));
        }
    }

    [Theory, MemberData(nameof(Styles))]
    public void A_stream_gives_each_text_as_soon_as_it_is_certain(string style)
    {
        var tokenizer = Load(style);
        foreach (var item in Cases(style, "stream"))
        {
            var stream = tokenizer.Stream(item.GetProperty("skip_special_tokens").GetBoolean());
            Assert.Equal(Strings(item, "pieces"), Ints(item, "ids").Select(stream.Next));
            Assert.Equal("", stream.Flush());
        }
        foreach (var item in Cases(style, "decode").Where(item => item.TryGetProperty("pieces", out _)))
        {
            var stream = tokenizer.Stream(skipSpecialTokens: false);
            Assert.Equal(Strings(item, "pieces"), Ints(item, "ids").Select(stream.Next));
            Assert.Equal(item.GetProperty("held_back_at_end").GetString(), stream.Flush());
        }
    }

    [Theory, MemberData(nameof(Styles))]
    public void Long_runs_give_the_recorded_ids_in_little_time(string style)
    {
        var tokenizer = Load(style);
        foreach (var item in Cases(style, "long"))
        {
            var unit = item.GetProperty("unit").GetString()!;
            var text = string.Concat(Enumerable.Repeat(unit, item.GetProperty("count").GetInt32()));
            var ids = tokenizer.Encode(text, addSpecialTokens: false);
            Assert.Equal(item.GetProperty("tokens").GetInt32(), ids.Length);
            Assert.Equal(item.GetProperty("sha256").GetString(),
                Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<int>(ids)))); // little-endian machines only
        }
    }

    [Fact]
    public void The_sample_model_answers_with_its_recorded_ids()
    {
        var folder = Repository.Path("samples/shapes-vlm");
        var tokenizer = ByteLevelTokenizer.Parse(File.ReadAllBytes(Path.Combine(folder, "tokenizer.json")), "shapes-vlm");
        var reference = Json(File.ReadAllBytes(Path.Combine(folder, "reference.json")));
        var samples = reference.GetProperty("samples").EnumerateArray().ToArray();
        Assert.Equal(12, samples.Length);
        foreach (var sample in samples)
        {
            var question = Images(sample) + sample.GetProperty("question").GetString();
            var prompt = $"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n";
            Assert.Equal(Ints(sample, "prompt_token_ids"), tokenizer.Encode(prompt));

            var answer = Ints(sample, "generated_token_ids");
            Assert.Equal(sample.GetProperty("generated_text").GetString(), tokenizer.Decode(answer, skipSpecialTokens: true));
            Assert.Equal(sample.GetProperty("generated_raw").GetString(), tokenizer.Decode(answer));
        }
    }

    /// <summary>What the sample's chat template and processor make of images: one token per 2 × 2 patches.</summary>
    static string Images(JsonElement sample)
    {
        if (sample.GetProperty("image_grid_thw").ValueKind == JsonValueKind.Null)
            return "";
        var tokens = sample.GetProperty("image_grid_thw").EnumerateArray()
            .Select(grid => grid.EnumerateArray().Aggregate(1, (product, size) => product * size.GetInt32()) / 4);
        return string.Concat(tokens.Select(count =>
            $"<|vision_start|>{string.Concat(Enumerable.Repeat("<|image_pad|>", count))}<|vision_end|>"));
    }

    [Fact]
    public void Tokens_and_ids_name_each_other()
    {
        var tokenizer = Load("qwen2");
        Assert.Equal(1311, tokenizer.VocabularySize);
        Assert.Equal(1301, tokenizer.IdOf("<|im_start|>"));
        Assert.Equal("<|im_start|>", tokenizer.TokenOf(1301));
        Assert.Null(tokenizer.IdOf("no such token"));
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.TokenOf(1311));
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.TokenOf(-1));
        Assert.Equal(11, tokenizer.AddedTokens.Count);
        Assert.False(tokenizer.AddedTokens.Single(token => token.Content == "<think>").Special);
        Assert.Equal("a", tokenizer.Decode([-1, tokenizer.IdOf("a")!.Value, 1311, int.MaxValue]));
    }

    [Fact]
    public void Special_tokens_are_added_with_empty_offsets()
    {
        var encoding = Load("whisper").EncodeWithOffsets("a");
        var plain = Load("whisper").Encode("a", addSpecialTokens: false);
        var at = Array.IndexOf(encoding.Ids, plain[0]);
        Assert.True(at > 0 && encoding.Ids.Length > at + 1);
        Assert.Equal(encoding.Ids.Length, encoding.Offsets.Length);
        for (var i = 0; i < encoding.Ids.Length; i++)
            Assert.Equal(i == at ? (0, 1) : (0, 0), encoding.Offsets[i]);
    }

    [Fact]
    public void Half_a_surrogate_pair_is_a_replacement_character()
    {
        var tokenizer = Load("gpt2");
        Assert.Equal(tokenizer.Encode("a\uFFFDb\uFFFD"), tokenizer.Encode("a\uD83Db\uDE00"));
    }

    [Fact]
    public void Many_threads_encode_alike()
    {
        var tokenizer = Load("qwen2"); // a cold cache, filled by all at once
        var items = Cases("qwen2", "cases").Select(item => (Text: TextOf(item), Ids: Ints(item, "ids"))).ToArray();
        Parallel.For(0, 8, _ =>
        {
            foreach (var (text, ids) in items)
                Assert.Equal(ids, tokenizer.Encode(text, addSpecialTokens: false));
        });
    }
}
