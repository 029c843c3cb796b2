using System.Text;
using System.Text.Json.Nodes;
using Nibble.Models;
using Nibble.Models.Config;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Config;

/// <summary>From the words of a configuration to frequencies: the recorded ones.</summary>
public class RopeConfigTests
{
    // The recording is float64; its float32 original differs by up to 4e-7.
    const double Relative = 1e-6;

    static JsonArray Cases => JsonNode.Parse(File.ReadAllText(Repository.Fixture("models/rope.json")))!.AsArray();

    [Fact]
    public void Every_rule_is_read_as_it_was_meant()
    {
        var compared = 0;
        foreach (var entry in Cases.Where(entry => (double)entry!["partial_rotary_factor"]! == 1))
            foreach (var isNewer in (bool[])[false, true])
            {
                var rope = Parse(entry!, isNewer).Text.Rope;
                var (inverse, scaling) = Rope.Frequencies(rope, (int?)entry!["length"]);

                var expected = entry["inv_freq"]!.AsArray().Select(value => (double)value!).ToArray();
                var name = (string)entry["name"]!;
                Assert.True(inverse.Length == expected.Length, name);
                for (var i = 0; i < expected.Length; i++)
                    Assert.True(Math.Abs(inverse[i] - expected[i]) <= Relative * Math.Abs(expected[i]), $"{name}: {i}");
                Assert.True(Math.Abs(scaling - (double)entry["attention_scaling"]!) <= Relative, $"{name}: {scaling}");
                compared++;
            }
        Assert.True(compared >= 40, $"only {compared} compared");
    }

    [Fact]
    public void A_partial_rotation_is_refused()
    {
        var partial = Cases.First(entry => (double)entry!["partial_rotary_factor"]! == 0.5)!;
        Assert.Contains("partial_rotary_factor: expected", Assert.Throws<ModelException>(() => Parse(partial, false)).Message);
    }

    static ModelConfig Parse(JsonNode entry, bool isNewer)
    {
        var head = (int)entry["head_dim"]!;
        var json = new JsonObject
        {
            ["model_type"] = "llama",
            ["vocab_size"] = 8,
            ["hidden_size"] = head,
            ["intermediate_size"] = 8,
            ["num_hidden_layers"] = 1,
            ["num_attention_heads"] = 1,
            ["max_position_embeddings"] = (int)entry["max_position_embeddings"]!,
        };
        if ((double)entry["partial_rotary_factor"]! != 1)
            json["partial_rotary_factor"] = (double)entry["partial_rotary_factor"]!;
        var scaling = entry["rope_scaling"]?.DeepClone();
        if (isNewer)
        {
            json["rope_parameters"] = scaling ?? new JsonObject { ["rope_type"] = "default" };
            json["rope_parameters"]!["rope_theta"] = (double)entry["rope_theta"]!;
        }
        else
        {
            json["rope_scaling"] = scaling;
            json["rope_theta"] = (double)entry["rope_theta"]!;
        }
        return ModelConfig.Parse(Encoding.UTF8.GetBytes(json.ToJsonString()), "config.json");
    }
}
