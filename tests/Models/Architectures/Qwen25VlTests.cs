using System.Text.Json;
using Nibble.Models;
using Nibble.Models.Architectures.Qwen25Vl;
using Nibble.Models.Config;
using Nibble.Models.Generation;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Architectures;

/// <summary>Qwen2.5-VL against two recordings: random weights stage by stage, and the trained sample model.</summary>
public class Qwen25VlTests
{
    static readonly string[] Names =
    [
        "vision_patch_embed", "vision_hidden_0", "vision_hidden_1", "vision_hidden_2", "merger_out", "image_features",
        "inputs_embeds", "hidden_0", "hidden_1", "logits", "logits_last16",
    ];

    [Theory, InlineData("one"), InlineData("text"), InlineData("two")]
    public void Every_stage_is_what_was_recorded(string name)
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var compared = new List<string>();
        new Generator(golden.Network, golden.Weights).Logits(golden.Sample(name + "."), (observed, tensor) =>
        {
            // As many recordings have it: each under the name this engine finds for it.
            foreach (var spec in Recorded(golden, name).Where(entry => entry.Value.Name == observed))
            {
                var rows = spec.Value.LastRows ?? tensor.Rows;
                var recorded = golden.Floats($"{name}.{spec.Key}");
                Near.Assert(recorded, tensor.Slice(tensor.Rows - rows, rows), Tolerance(observed), $"{name} {spec.Key}");
                compared.Add(spec.Key);
            }
        });

        string[] expected = name switch
        {
            "one" => Names[..^1],
            "text" => ["inputs_embeds", "hidden_0", "hidden_1", "logits"],
            _ => ["image_features", "inputs_embeds", "hidden_1", "logits_last16"],
        };
        Assert.Equal(expected, compared);
    }

    static Dictionary<string, RecordedTensor> Recorded(Golden golden, string name) =>
        Names.Where(tensor => golden.Has($"{name}.{tensor}")).ToDictionary(tensor => tensor, tensor => Observed.Find(tensor)!);

    static float Tolerance(string observed) => observed switch
    {
        Observed.Logits => Near.VisionLogits,
        _ when observed.StartsWith("layers.", StringComparison.Ordinal) => Near.VisionHidden,
        _ => Near.Vision,
    };

    [Theory, InlineData("one"), InlineData("text"), InlineData("two")]
    public void Positions_are_what_was_recorded(string name)
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var cache = golden.Network.NewCache();
        var pass = golden.Network.Begin(golden.Sample(name + "."), cache);

        var ids = golden.Ints(name + ".input_ids");
        var largest = 0;
        for (var axis = 0; axis < 3; axis++)
        {
            // Without a picture nothing was recorded: all three are 0..T-1.
            var expected = golden.Has(name + ".position_ids")
                ? golden.Ints(name + ".position_ids", axis)
                : [.. Enumerable.Range(0, ids.Length)];
            Assert.Equal(expected, pass.Positions[axis]);
            largest = Math.Max(largest, expected.Max());
        }
        Assert.Equal(largest + 1, cache.NextPosition);
        var mask = golden.Ints(name + ".mm_token_type_ids").Select(type => type == 1);
        Assert.Equal(name == "text" ? null : mask, pass.ImageMask);
    }

    [Theory, InlineData("one"), InlineData("two")]
    public void Windows_are_what_was_recorded(string name)
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var layout = VisionLayout.Of(golden.Sample(name + ".").Images, ((Qwen25VlConfig)golden.Config).Vision);

        Assert.Equal(golden.Ints(name + ".window_index"), layout.Units);
        Assert.Equal(golden.Ints(name + ".cu_window_seqlens"), layout.Windows);
        Assert.Equal(golden.Ints(name + ".cu_seqlens"), layout.Pictures);
    }

    [Theory, InlineData("one"), InlineData("text"), InlineData("two")]
    public void Greedy_tokens_are_what_was_recorded(string name)
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var sample = golden.Sample(name + ".");
        var expected = golden.Ints(name + ".greedy");
        var generator = new Generator(golden.Network, golden.Weights);
        Assert.Equal(expected, generator.Generate(sample, new GenerationOptions { MaxNewTokens = 8 }));

        // The eighth token's logits, with a cache: the positions of all seven before it were right.
        var cache = golden.Network.NewCache();
        var logits = Run.Stages(golden, sample, cache);
        foreach (var token in expected[..^1])
            logits = Run.Stages(golden, new Sample(token), cache);
        Near.Assert(golden.Floats(name + ".greedy_logits_last"), logits, Near.VisionLogits, name);
    }

    [Fact]
    public void The_trained_sample_sees_and_answers_as_recorded()
    {
        using var golden = Golden.Shapes();
        using var reference = JsonDocument.Parse(File.ReadAllBytes(Repository.Path("samples/shapes-vlm/reference.json")));
        var generator = new Generator(golden.Network, golden.Weights);
        foreach (var entry in reference.RootElement.GetProperty("samples").EnumerateArray())
        {
            var index = entry.GetProperty("index").GetInt32();
            var isRecorded = golden.Has($"{index}.input_ids");
            if (!isRecorded && entry.GetProperty("image").ValueKind != JsonValueKind.Null)
                continue; // its pixels are not in the recording
            var sample = isRecorded ? golden.Sample($"{index}.") : new Sample(Tokens(entry, "prompt_token_ids"));
            var options = new GenerationOptions { MaxNewTokens = 16, StopTokens = golden.Config.EndTokens };
            var answer = generator.Generate(sample, options);
            Assert.Equal(Tokens(entry, "generated_token_ids"), answer);
            if (isRecorded)
                Compare(golden, generator, sample, $"{index}.");
        }
    }

    static void Compare(Golden golden, Generator generator, Sample sample, string prefix)
    {
        for (var axis = 0; axis < 3; axis++)
            Assert.Equal(golden.Ints(prefix + "position_ids", axis), golden.Network.Begin(sample).Positions[axis]);
        var (features, logits) = Features(generator, sample);
        var last = golden.Floats(prefix + "last_logits");
        Near.Assert(last.Reshape(1, last.Elements), logits.Slice(logits.Rows - 1, 1), Near.Text, prefix + "last_logits");
        if (!golden.Has(prefix + "logits"))
            return;
        Near.Assert(golden.Floats(prefix + "vision_output"), features!, Near.Vision, prefix + "vision_output");
        Near.Assert(golden.Floats(prefix + "logits"), logits, Near.Text, prefix + "logits");
    }

    static int[] Tokens(JsonElement entry, string key) =>
        [.. entry.GetProperty(key).EnumerateArray().Select(token => token.GetInt32())];

    [Fact]
    public void Two_pictures_do_not_see_each_other()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var both = golden.Sample("two.");
        var generator = new Generator(golden.Network, golden.Weights);
        var (together, _) = Features(generator, both);
        var (first, start) = (both.Images[0], Array.IndexOf(both.Ids, 108));
        var (alone, _) = Features(generator, new Sample([.. both.Ids.AsSpan(start, first.Patches.Rows / 4)], [first]));

        Near.Assert(alone!, together!.Slice(0, alone!.Rows), Near.Vision, "first picture");
    }

    static (Tensor? Features, Tensor Logits) Features(Generator generator, Sample sample)
    {
        Tensor? features = null;
        var logits = generator.Logits(sample, (name, tensor) =>
        {
            if (name == Observed.ImageFeatures)
                features = tensor.Clone();
        });
        return (features, logits);
    }

    [Fact]
    public void Newer_tensor_names_and_configuration_give_the_same_network()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var source = new Renamed(golden.Source, name =>
            name.StartsWith("visual.", StringComparison.Ordinal) ? "model." + name
            : name.StartsWith("model.", StringComparison.Ordinal) ? "model.language_model." + name["model.".Length..] : name);
        var config = ModelConfig.Parse(NewerStyle(), "newer");
        Assert.Equal(golden.Config.Text.RopeSections, config.Text.RopeSections);
        Assert.Equal(golden.Config.Text.Windows, config.Text.Windows);
        var expected = golden.Config.Text;
        Assert.Equal(expected, config.Text with { Windows = expected.Windows, RopeSections = expected.RopeSections });

        var network = Nibble.Models.Architectures.Networks.Create(config, source);
        Assert.Equal("model.visual.patch_embed", network.Stages[0].Name);
        Assert.Equal("model.language_model.layers.1", network.LanguageStages[2].Name);
        var logits = new Generator(network, new Weights(source)).Logits(golden.Sample("one."));
        Near.Assert(golden.Floats("one.logits"), logits, Near.VisionLogits, "logits");
    }

    static byte[] NewerStyle()
    {
        var old = File.ReadAllText(Repository.Fixture("models/qwen2_5_vl/config.json"));
        using var parsed = JsonDocument.Parse(old);
        string[] outside =
            ["model_type", "vision_config", "image_token_id", "tie_word_embeddings", "rope_scaling", "rope_theta"];
        var inside = parsed.RootElement.EnumerateObject().Where(property => !outside.Contains(property.Name))
            .Select(property => $"\"{property.Name}\": {property.Value.GetRawText()}");
        return System.Text.Encoding.UTF8.GetBytes($$"""
            { "model_type": "qwen2_5_vl", "dtype": "bfloat16", "image_token_id": 108, "tie_word_embeddings": false,
              "vision_config": {{parsed.RootElement.GetProperty("vision_config").GetRawText()}},
              "text_config": { {{string.Join(", ", inside)}}, "layer_types": ["full_attention", "full_attention"],
                "rope_parameters": { "rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [2, 3, 3] } } }
            """);
    }

    [Fact]
    public void Pictures_and_placeholders_have_to_match()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        const int image = 108;
        var patches = Tensor.Zeros(16, 96); // a grid of 4 x 4 patches is 2 x 2 tokens
        var picture = new ImagePatches(patches, 1, 4, 4);

        golden.Network.Begin(new Sample([1, image, image, image, image, 2], [picture]));
        Refused("needs 4 placeholders in a row from token 1; found 3", [1, image, image, image, 2], picture);
        Refused("beyond the last of 1 pictures", [image, image, image, image, image], picture);
        Refused("has 2 pictures and placeholders for 1", [image, image, image, image], picture, picture);
        Refused("beyond the last of 0 pictures", [1, image]);
        Refused("expected 1 frame, found 2", [image], picture with { Frames = 2 });
        Refused("multiples of 2, found 3 x 4", [image], picture with { GridHeight = 3 });
        Refused("multiples of 2, found 4 x 0", [image], picture with { GridWidth = 0 });
        Refused("expected patches [24, 96] F32", [image], picture with { GridWidth = 6 });
        const int huge = int.MaxValue - 1;
        Refused("expected patches [4611686009837453316, 96]", [image], picture with { GridHeight = huge, GridWidth = huge });

        void Refused(string message, int[] ids, params ImagePatches[] images) =>
            Assert.Contains(message, Assert.Throws<ModelException>(() => golden.Network.Begin(new Sample(ids, images))).Message);
    }

    [Fact]
    public void A_placeholder_that_the_model_generates_is_an_ordinary_token()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var cache = golden.Network.NewCache();
        Run.Stages(golden, new Sample(1, 2, 3), cache);
        var pass = golden.Network.Begin(new Sample(108), cache);
        Assert.Null(pass.ImageMask);
        Assert.Equal([3], pass.Positions[2]);
    }
}
