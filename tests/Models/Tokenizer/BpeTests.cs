using Nibble.Models.Tokenizer;
using static Nibble.Tests.Models.Tokenizer.TokenizerFixtures;

namespace Nibble.Tests.Models.Tokenizer;

public class BpeTests
{
    [Fact]
    public void The_queue_merges_as_the_definition_does()
    {
        var root = Json("llama3/tokenizer.json");
        var (vocabulary, model) = BpeField.Read(Field(root.GetProperty("model")));
        var random = new Random(1);
        var letters = "aeiostnhbcdĠĠ".Select(letter => vocabulary.Ids[letter.ToString()]).ToArray();
        for (var length = 0; length <= 200; length++)
        {
            // few letters, so that most pairs merge; runs, so that equal pairs overlap
            var kinds = length % 2 == 0 ? letters.Length : 2;
            var ids = Enumerable.Range(0, length).Select(_ => letters[random.Next(kinds)]).ToList();
            var lengths = Enumerable.Repeat(1, length).ToList();
            var (expectedIds, expectedLengths) = model.MergeByScan([.. ids], [.. lengths]);
            var (actualIds, actualLengths) = model.MergeByQueue(ids, lengths);
            Assert.Equal(expectedIds, actualIds);
            Assert.Equal(expectedLengths, actualLengths);
            Assert.Equal(length, actualLengths.Sum());
        }
    }

    const string Unknowns = """
        "vocab": {"a": 0, "b": 1, "ab": 2, "?": 3}, "merges": [["a", "b"]]
        """;

    [Theory]
    [InlineData("", new[] { 2 }, new[] { 2 })]                                                       // dropped, merged across
    [InlineData(""", "unk_token": "?" """, new[] { 0, 3, 3, 1 }, new[] { 1, 1, 1, 1 })]
    [InlineData(""", "unk_token": "?", "fuse_unk": true """, new[] { 0, 3, 1 }, new[] { 1, 2, 1 })]
    public void Unknown_code_points_are_dropped_marked_or_fused(string options, int[] expected, int[] expectedLengths)
    {
        var json = $$"""{"type": "BPE", {{Unknowns}} {{options}}}""";
        var (_, model) = BpeField.Read(Field(Json(System.Text.Encoding.UTF8.GetBytes(json))));
        List<int> ids = [], lengths = [];
        model.Encode(Text.Of("a𝒳xb").Points, ids, lengths);
        Assert.Equal(expected, ids);
        Assert.Equal(expectedLengths, lengths);
    }
}
