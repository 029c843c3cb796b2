using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Generation;

namespace Nibble.Tests.Models.Architectures;

/// <summary>Every recorded tensor of the language models, in running order, so that the first wrong layer is named.</summary>
public class TextNetworkTests
{
    public static TheoryData<string> Models => ["llama", "llama_tied", "mistral", "qwen2", "qwen3", "qwen3_moe", "qwen3_moe_nonorm"];

    [Theory, MemberData(nameof(Models))]
    public void Every_layer_is_what_was_recorded(string model)
    {
        using var golden = Golden.Model(model);
        var generator = new Generator(golden.Network, golden.Weights);
        var layers = Enumerable.Range(0, golden.Config.Text.Layers).SelectMany(i => golden.Config.Text.ExpertsOf(i) is null
            ? [$"layers.{i}"]
            : (string[])[$"layers.{i}.router_logits", $"layers.{i}.experts", $"layers.{i}.expert_weights", $"layers.{i}"]);
        string[] expected = ["embed", .. layers, "norm", "logits"];

        for (var row = 0; row < golden.Tensor("input_ids").Shape[0]; row++)
        {
            var seen = new List<string>();
            generator.Logits(new Sample(golden.Ints("input_ids", row)), (name, tensor) =>
            {
                seen.Add(name);
                Near.Assert(golden.Floats(name, row), tensor, Near.Of(name), $"{model} row {row} {name}");
            });
            Assert.Equal(expected, seen);
        }
    }

    [Theory, MemberData(nameof(Models))]
    public void Greedy_tokens_and_the_logits_of_every_cached_step_are_what_was_recorded(string model)
    {
        using var golden = Golden.Model(model);
        var generator = new Generator(golden.Network, golden.Weights);
        for (var row = 0; row < golden.Tensor("input_ids").Shape[0]; row++)
        {
            var prompt = new Sample(golden.Ints("input_ids", row));
            var expected = golden.Ints("generated", row);
            Assert.Equal(expected, generator.Generate(prompt, new GenerationOptions { MaxNewTokens = expected.Length }));

            var steps = golden.Floats("generated_logits", row);
            var cache = golden.Network.NewCache();
            for (var step = 0; step < expected.Length; step++)
            {
                var logits = Run.Stages(golden, step == 0 ? prompt : new Sample(expected[step - 1]), cache);
                Near.Assert(steps.Slice(step, 1), logits, Near.Text, $"{model} row {row} step {step}");
            }
        }
    }

    [Theory, InlineData("llama"), InlineData("mistral")]
    public void Left_padding_changes_nothing_for_the_tokens_behind_it(string model)
    {
        using var golden = Golden.Model(model);
        var generator = new Generator(golden.Network, golden.Weights);
        for (var row = 0; row < 2; row++)
        {
            var padding = golden.Ints("padded.attention_mask", row).Count(value => value == 0);
            var prompt = new Sample(golden.Ints("padded.input_ids", row)[padding..]);

            var logits = golden.Floats("padded.logits", row).Slice(padding, prompt.Ids.Length);
            Near.Assert(logits, generator.Logits(prompt), Near.Text, $"{model} padded row {row}");
            var options = new GenerationOptions { MaxNewTokens = 8 };
            Assert.Equal(golden.Ints("padded.generated", row), generator.Generate(prompt, options));
        }
    }

    [Theory, MemberData(nameof(Models))]
    public void A_prompt_may_come_in_pieces(string model)
    {
        using var golden = Golden.Model(model);
        var ids = golden.Ints("input_ids");
        var expected = golden.Floats("logits");
        var cache = golden.Network.NewCache(3);
        for (int start = 0, piece = 1; start < ids.Length; start += piece, piece = Math.Min(piece + 3, ids.Length - start))
        {
            var logits = Run.Stages(golden, new Sample(ids[start..(start + piece)]), cache, lastOnly: false);
            Near.Assert(expected.Slice(start, piece), logits, Near.Text, $"{model} from {start}");
            Assert.Equal(start + piece, cache.Length);
            Assert.Equal(start + piece, cache.NextPosition);
            if (start + piece == ids.Length)
                break;
        }
    }

    [Fact]
    public void Experts_of_a_layer_in_one_tensor_are_refused_by_name()
    {
        using var golden = Golden.Model("qwen3_moe");
        var fused = new Renamed(golden.Source, name => name.Replace("experts.0.gate_proj.weight", "experts.gate_up_proj", StringComparison.Ordinal));
        Assert.Contains("model.layers.0.mlp.experts.gate_up_proj: all experts of a layer in one tensor",
            Assert.Throws<ModelException>(() => Networks.Create(golden.Config, fused)).Message);
    }

    [Fact]
    public void Inputs_that_cannot_be_are_refused()
    {
        using var golden = Golden.Model("llama");
        Refused("at least one token", new Sample());
        Refused("Token 1 is 128; the vocabulary has 128", new Sample(5, 128));
        Refused("Token 0 is -1", new Sample(-1));
        Refused("takes no pictures", new Sample([1], [new ImagePatches(Nibble.Tensors.Tensor.Zeros(4, 4), 1, 2, 2)]));

        void Refused(string message, Sample sample) =>
            Assert.Contains(message, Assert.Throws<ModelException>(() => golden.Network.Begin(sample)).Message);
    }
}
