using System.Text;
using System.Text.Json.Nodes;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Models.Generation;
using Nibble.Models.Layers;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Layers;

/// <summary>Frequencies that depend on the length: the definition is a full computation, without a cache.</summary>
public class RopeCacheTests
{
    const int Tokens = 24;

    const string Dynamic = """{"rope_type": "dynamic", "factor": 8.0}""";

    const string LongRope = """
        {"rope_type": "longrope", "original_max_position_embeddings": 10, "short_factor": [1, 1, 1, 1, 1, 1, 1, 1],
         "long_factor": [1, 2, 3, 4, 5, 6, 7, 8]}
        """;

    [Theory, InlineData(Dynamic, 10), InlineData(LongRope, 40)]
    public void Generation_with_a_cache_equals_full_computation_where_the_frequencies_change(string scaling, int maxPositions)
    {
        using var golden = Golden.Model("qwen3");
        var network = WithScaling(golden, scaling, maxPositions);
        var generator = new Generator(network, golden.Weights);
        var ids = golden.Ints("input_ids")[..6].ToList();

        var actual = generator.Generate(new Sample([.. ids]), new GenerationOptions { MaxNewTokens = Tokens }).ToArray();

        // With keys that keep the angles of a shorter sequence the tokens are others, or this test could not fail.
        Assert.NotEqual(Stale(network, golden.Weights, ids), actual);
        for (var i = 0; i < Tokens; i++)
        {
            var logits = generator.Logits(new Sample([.. ids]));
            ids.Add(ArgMax.Apply(logits.Row(logits.Rows - 1)));
        }
        Assert.Equal(ids[^Tokens..], actual);
    }

    static List<int> Stale(INetwork network, Weights weights, List<int> ids)
    {
        var cache = network.NewCache();
        var tokens = new List<int>();
        var next = new Sample([.. ids]);
        for (var i = 0; i < Tokens; i++)
        {
            tokens.Add(ArgMax.Apply(Run.Stages(network, weights, next, cache, lastOnly: true).Row(0)));
            next = new Sample(tokens[^1]);
        }
        return tokens;
    }

    [Fact]
    public void Continuing_is_allowed_until_the_frequencies_change()
    {
        using var golden = Golden.Model("qwen3");
        var network = WithScaling(golden, LongRope, 256);
        var cache = network.NewCache();
        Assert.True(network.CanContinue(cache, 100)); // nothing is cached
        network.Begin(new Sample(new int[8]), cache);
        Assert.True(network.CanContinue(cache, 2));
        Assert.False(network.CanContinue(cache, 3));
        network.Begin(new Sample(new int[3]), cache);
        Assert.True(network.CanContinue(cache, 1000));
    }

    [Fact]
    public void Angles_are_computed_once_per_pass()
    {
        using var golden = Golden.Model("llama");
        var rope = new RopeCache(golden.Config.Text.Rope, null);
        int[][] first = [[0, 1, 2]], second = [[0, 1, 2]];
        Assert.Same(rope.Of(first), rope.Of(first));
        Assert.NotSame(rope.Of(first), rope.Of(second));
    }

    // A small base, so that the angles matter in a short sequence.
    static INetwork WithScaling(Golden golden, string scaling, int maxPositions)
    {
        var json = JsonNode.Parse(File.ReadAllText(Repository.Fixture("models/qwen3/config.json")))!;
        json["rope_scaling"] = JsonNode.Parse(scaling);
        json["rope_theta"] = 100;
        json["max_position_embeddings"] = maxPositions;
        return Networks.Create(ModelConfig.Parse(Encoding.UTF8.GetBytes(json.ToJsonString()), "test"), golden.Source);
    }
}
