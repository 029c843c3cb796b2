using System.Text.Json;
using Nibble.Models.Tokenizer;
using Nibble.Models.Tokenizer.Normalizers;
using Nibble.Models.Tokenizer.PreTokenizers;
using static Nibble.Tests.Models.Tokenizer.TokenizerFixtures;

namespace Nibble.Tests.Models.Tokenizer;

public class ComponentTests
{
    static readonly JsonElement components = Json("components.json");

    public static TheoryData<int> Indices(string kind) => [.. Enumerable.Range(0, components.GetProperty(kind).GetArrayLength())];

    static (JsonElement Config, JsonElement[] Cases) Component(string kind, int index)
    {
        var component = components.GetProperty(kind)[index];
        return (component.GetProperty("config"), [.. component.GetProperty("cases").EnumerateArray()]);
    }

    [Theory, MemberData(nameof(Indices), "normalizers")]
    public void A_normalizer_gives_the_recorded_text(int index)
    {
        var (config, cases) = Component("normalizers", index);
        var normalizer = Normalizer.Read(Field(config))!;
        foreach (var item in cases)
            Assert.Equal(item[1].GetString(), normalizer.Apply(Text.Of(item[0].GetString()!, aligned: true)).ToString());
    }

    [Theory, MemberData(nameof(Indices), "pre_tokenizers")]
    public void A_pre_tokenizer_gives_the_recorded_pieces_and_offsets(int index)
    {
        var (config, cases) = Component("pre_tokenizers", index);
        var preTokenizer = PreTokenizer.Read(Field(config))!;
        foreach (var item in cases)
        {
            var text = Text.Of(item[0].GetString()!, aligned: true);
            var pieces = preTokenizer.Cut(new Pieces(text, [(0, text.Length)]));
            var expected = item[1].EnumerateArray()
                .Select(piece => (piece[0].GetString()!, piece[1].GetInt32(), piece[2].GetInt32()));
            var all = pieces.Text;
            Assert.Equal(expected, pieces.Ranges.Select(range =>
                (all.Slice(range.Start, range.End).ToString(), all.StartOf(range.Start), all.EndOf(range.End - 1))));
        }
    }

    [Theory, MemberData(nameof(Indices), "decoders")]
    public void A_decoder_gives_the_recorded_text(int index)
    {
        foreach (var item in Component("decoders", index).Cases)
        {
            var bytes = item[0].EnumerateArray().SelectMany(token => ByteLetters.BytesOf(token.GetString()!)).ToArray();
            Assert.Equal(item[1].GetString(), System.Text.Encoding.UTF8.GetString(bytes));
        }
    }

    [Fact]
    public void Every_piece_before_ByteLevel_gets_its_prefix_space()
    {
        var config = """
            {"type":"Sequence","pretokenizers":[
                {"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":true,"use_regex":true}]}
            """u8;
        var text = Text.Of("a1 b");
        var pieces = PreTokenizer.Read(Field(Json(config.ToArray())))!.Cut(new Pieces(text, [(0, text.Length)]));
        Assert.Equal(["Ġa", "Ġ1", "Ġb"], pieces.Ranges.Select(range => pieces.Text.Slice(range.Start, range.End).ToString()));
    }

    [Fact]
    public void Normalizers_in_a_sequence_run_in_order()
    {
        var config = """{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"A"},{"type":"Lowercase"}]}"""u8;
        var normalizer = Normalizer.Read(Field(Json(config.ToArray())))!;
        Assert.Equal("ai\u0307b", normalizer.Apply(Text.Of("İB")).ToString());
        Assert.Equal("", normalizer.Apply(Text.Of("")).ToString());
    }
}
