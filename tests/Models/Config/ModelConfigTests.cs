using System.Text;
using System.Text.Json.Nodes;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Config;

public class ModelConfigTests
{
    const string Smallest = """
        {"vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 32}
        """;

    static ModelConfig Parse(string json) => ModelConfig.Parse(Encoding.UTF8.GetBytes(json), "folder/config.json");

    static DecoderConfig Text(string type, params (string Key, object? Value)[] changes) => Parse(Changed(type, changes)).Text;

    static string Changed(string type, params (string Key, object? Value)[] changes)
    {
        var json = JsonNode.Parse(Smallest)!.AsObject();
        json["model_type"] = type;
        foreach (var (key, value) in changes)
            json[key] = value switch
            {
                null => null,
                string text when text.StartsWith('{') || text.StartsWith('[') => JsonNode.Parse(text),
                _ => JsonValue.Create(value)!,
            };
        return json.ToJsonString();
    }

    [Fact]
    public void Missing_keys_take_the_defaults_of_the_architecture()
    {
        var llama = Text("llama");
        Assert.Equal((32, 2, 1e-6f, 2048), (llama.KeyValueHeads, llama.HeadWidth, llama.NormEpsilon, llama.MaxPositions));
        Assert.Equal((false, false), (llama.QueryKeyNorm, llama.TiedEmbeddings));
        Assert.Equal(10_000, llama.Rope.Theta);
        Assert.Equal([null, null, null], llama.Windows);

        var mistral = Text("mistral");
        Assert.Equal((8, 131_072), (mistral.KeyValueHeads, mistral.MaxPositions));
        Assert.Equal([4096, 4096, 4096], mistral.Windows);

        var qwen3 = Text("qwen3");
        Assert.Equal((32, 128, true, 32_768), (qwen3.KeyValueHeads, qwen3.HeadWidth, qwen3.QueryKeyNorm, qwen3.MaxPositions));
        Assert.Equal(32, Text("qwen2").KeyValueHeads);
        Assert.Empty(Parse(Changed("llama")).EndTokens);
    }

    [Fact]
    public void Experts_are_in_the_layers_the_configuration_names()
    {
        var plain = Text("qwen3_moe");
        Assert.Equal((4, 2, true, 32_768), (plain.KeyValueHeads, plain.HeadWidth, plain.QueryKeyNorm, plain.MaxPositions));
        Assert.Equal((128, 8, 768, false), (plain.Experts!.Count, plain.Experts.PerToken, plain.Experts.Width, plain.Experts.Normalised));
        Assert.Equal([true, true, true], plain.Experts.Layers);
        Assert.Null(Text("qwen3", ("num_experts", 8)).Experts);

        Assert.Equal([false, true, false], Text("qwen3_moe", ("decoder_sparse_step", 2)).Experts!.Layers);
        Assert.Equal([false, true, true], Text("qwen3_moe", ("mlp_only_layers", "[0, 7]")).Experts!.Layers);
        Assert.Null(Text("qwen3_moe", ("mlp_only_layers", "[0, 1, 2]")).Experts);
        Assert.Null(Text("qwen3_moe", ("num_experts", 0)).Experts);
        var some = Text("qwen3_moe", ("num_local_experts", 4), ("num_experts_per_tok", 3), ("norm_topk_prob", true)).Experts!;
        Assert.Equal((4, 3, true), (some.Count, some.PerToken, some.Normalised));
        Assert.Equal([null, null, null], Text("qwen3_moe", ("sliding_window", 8)).Windows);
        Assert.Equal([8, 8, 8], Text("qwen3_moe", ("sliding_window", 8), ("use_sliding_window", true)).Windows);
    }

    [Theory]
    [InlineData("num_experts", -1, "num_experts: expected a whole number from 0 to 4096, found -1")]
    [InlineData("num_experts", 5000, "num_experts: expected a whole number from 0 to 4096, found 5000")]
    [InlineData("num_local_experts", 5000, "num_local_experts: expected a whole number from 0 to 4096, found 5000")]
    [InlineData("num_experts_per_tok", 0, "num_experts_per_tok: expected a whole number from 1 to 128, found 0")]
    [InlineData("num_experts_per_tok", 129, "num_experts_per_tok: expected a whole number from 1 to 128, found 129")]
    [InlineData("moe_intermediate_size", 0, "moe_intermediate_size: expected a whole number from 1 to")]
    [InlineData("decoder_sparse_step", 0, "decoder_sparse_step: expected a whole number from 1 to")]
    [InlineData("mlp_only_layers", "[-1]", "mlp_only_layers: expected a list of at most")]
    [InlineData("norm_topk_prob", 1, "norm_topk_prob: expected true or false, found 1")]
    public void Impossible_experts_are_named(string key, object value, string message) =>
        Assert.Contains(message, Assert.Throws<ModelException>(() => Text("qwen3_moe", (key, value))).Message);

    [Fact]
    public void More_experts_than_any_model_has_are_refused_before_they_are_named() =>
        Assert.Contains("num_experts: expected at most 262144 experts in all layers together, found 4096",
            Assert.Throws<ModelException>(() => Text("qwen3_moe", ("num_experts", 4096), ("num_hidden_layers", 4096))).Message);

    [Fact]
    public void Null_is_not_always_the_default()
    {
        Assert.Equal([null, null, null], Text("mistral", ("sliding_window", null)).Windows);
        Assert.Equal(32, Text("mistral", ("num_key_value_heads", null)).KeyValueHeads);
        Assert.Equal(2, Text("llama", ("head_dim", null), ("rope_scaling", null)).HeadWidth);
    }

    [Fact]
    public void Windows_follow_the_rules_of_each_family()
    {
        Assert.Equal([8, 8, 8], Text("mistral", ("sliding_window", 8)).Windows);
        Assert.Equal([null, null, null], Text("llama", ("sliding_window", 8)).Windows);
        Assert.Equal([null, null, null], Text("qwen2", ("sliding_window", 8), ("max_window_layers", 1)).Windows);
        Assert.Equal([null, 8, 8],
            Text("qwen2", ("sliding_window", 8), ("max_window_layers", 1), ("use_sliding_window", true)).Windows);
        Assert.Equal([null, null, null], Text("qwen2", ("sliding_window", 8), ("use_sliding_window", true)).Windows);
        Assert.Equal([8, null, 8], Text("qwen3", ("sliding_window", 8), ("use_sliding_window", true),
            ("layer_types", """["sliding_attention", "full_attention", "sliding_attention"]""")).Windows);
        Assert.Equal([null, null, null], Text("qwen3", ("sliding_window", 8), ("use_sliding_window", false),
            ("layer_types", """["sliding_attention", "full_attention", "sliding_attention"]""")).Windows);
    }

    [Theory]
    [InlineData("""{"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}}""")]
    [InlineData("""{"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}""")]
    [InlineData("""{"rope_theta": 5e5, "rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2.0}}""")]
    [InlineData("""{"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500000}}""")]
    [InlineData("""{"rope_theta": 5e5, "rope_parameters": {"rope_type": "linear", "factor": 2.0}}""")]
    [InlineData("""{"rope_theta": 10, "rope_parameters": {"rope_type": "linear", "factor": 2, "rope_theta": 500000}}""")]
    public void Rotary_parameters_are_read_in_every_style(string keys)
    {
        var json = JsonNode.Parse(Changed("llama"))!.AsObject();
        foreach (var (key, value) in JsonNode.Parse(keys)!.AsObject())
            json[key] = value?.DeepClone();
        const string scaling = """{"rope_type": "linear", "factor": 2.0}""";
        var linear = Text("llama", ("rope_theta", 5e5), ("rope_scaling", scaling)).Rope;
        Assert.Equal(linear, Parse(json.ToJsonString()).Text.Rope);
        Assert.NotEqual(linear, Text("llama", ("rope_theta", 5e5)).Rope);
        Assert.NotEqual(linear, Text("llama", ("rope_theta", 5e4), ("rope_scaling", scaling)).Rope);
    }

    [Fact]
    public void End_tokens_are_one_or_a_list()
    {
        Assert.Equal([7], Parse(Changed("llama", ("eos_token_id", 7))).EndTokens);
        Assert.Equal([7, 9], Parse(Changed("llama", ("eos_token_id", "[7, 9]"))).EndTokens);
        Assert.Empty(Parse(Changed("llama", ("eos_token_id", null))).EndTokens);
    }

    [Fact]
    public void The_sample_model_is_read_as_published()
    {
        var path = Repository.Path("samples/shapes-vlm/config.json");
        var config = Assert.IsType<Qwen25VlConfig>(ModelConfig.Parse(File.ReadAllBytes(path), path));
        var (text, vision) = (config.Text, config.Vision);
        Assert.Equal((4, 256, 512, 512), (text.Layers, text.Width, text.MlpWidth, text.Vocabulary));
        Assert.Equal((4, 2, 64), (text.Heads, text.KeyValueHeads, text.HeadWidth));
        Assert.Equal([8, 12, 12], config.Text.RopeSections);
        Assert.Equal([507], config.EndTokens);
        Assert.Equal(510, config.ImageToken);
        Assert.Equal((4, 128, 4, 256), (vision.Layers, vision.Width, vision.Heads, vision.MlpWidth));
        Assert.Equal((1176, 4, 512), (vision.PatchValues, vision.WindowUnits, vision.UnitWidth));
        Assert.Equal([1, 3], config.Vision.FullAttention);
    }

    [Theory]
    [InlineData("hidden_size", null, "hidden_size: expected a whole number from 1 to 262144, found nothing")]
    [InlineData("hidden_size", 0, "hidden_size: expected a whole number from 1 to 262144, found 0")]
    [InlineData("hidden_size", -64, "found -64")]
    [InlineData("hidden_size", 64.5, "found 64.5")]
    [InlineData("hidden_size", "64", "found \"64\"")]
    [InlineData("hidden_size", 1e300, "hidden_size: expected a whole number")]
    [InlineData("vocab_size", 1_000_000_000, "vocab_size: expected a whole number from 1 to 4194304, found 1000000000")]
    [InlineData("num_hidden_layers", 100_000, "num_hidden_layers: expected a whole number from 1 to 4096, found 100000")]
    [InlineData("num_attention_heads", 3, "num_attention_heads: expected a divisor of hidden_size 64, found 3")]
    [InlineData("num_attention_heads", 64, "head_dim: expected an even number")]
    [InlineData("num_key_value_heads", 5, "num_key_value_heads: expected a divisor of num_attention_heads 32")]
    [InlineData("num_key_value_heads", 0, "num_key_value_heads: expected a whole number from 1 to 4096, found 0")]
    [InlineData("head_dim", 3, "head_dim: expected an even number")]
    [InlineData("head_dim", 1 << 20, "head_dim: expected a whole number from 2 to 4096, found 1048576")]
    [InlineData("hidden_act", "gelu", "hidden_act: expected silu, found \"gelu\"")]
    [InlineData("rms_norm_eps", -1.0, "rms_norm_eps: expected a number from 0 to 1, found -1")]
    [InlineData("rope_theta", 0, "rope_theta: expected a number from")]
    [InlineData("max_position_embeddings", 0, "max_position_embeddings: expected")]
    [InlineData("tie_word_embeddings", "yes", "tie_word_embeddings: expected true or false, found \"yes\"")]
    [InlineData("eos_token_id", "[1, -2]", "eos_token_id: expected a list")]
    [InlineData("rope_scaling", "linear", "rope_scaling: expected an object, found \"linear\"")]
    [InlineData("rope_scaling", """{"factor": 2}""", "rope_scaling.rope_type: expected")]
    [InlineData("rope_scaling", """{"rope_type": "spiral"}""", "rope_scaling.rope_type: expected one of")]
    [InlineData("rope_scaling", """{"type": "linear"}""", "rope_scaling.factor: expected a number")]
    [InlineData("rope_scaling", """{"type": "linear", "factor": 0}""", "rope_scaling.factor: expected a number")]
    [InlineData("rope_scaling", """{"type": "mrope", "mrope_section": [1, 1, 1]}""", ".mrope_section: expected three")]
    [InlineData("rope_scaling", """{"type": "longrope", "short_factor": [1, 1]}""", ".short_factor: expected 1 number above 0")]
    [InlineData("rope_parameters", """{"full_attention": {"rope_type": "default"}}""", "rope_parameters.full_attention: exp")]
    public void Impossible_values_are_named(string key, object? value, string message)
    {
        var error = Assert.Throws<ModelException>(() => Text("llama", (key, value)));
        Assert.StartsWith("folder/config.json: ", error.Message);
        Assert.Contains(message, error.Message);
    }

    [Theory]
    [InlineData("layer_types", """["full_attention"]""", "layer_types: expected 3 entries, one per layer")]
    [InlineData("layer_types", """["full_attention", "full_attention", "linear"]""", "layer_types: expected full_attention or")]
    [InlineData("layer_types", """["full_attention", 1, 2]""", "layer_types: expected strings")]
    public void Layer_types_have_to_fit(string key, string value, string message) =>
        Assert.Contains(message, Assert.Throws<ModelException>(() => Text("qwen2", (key, value))).Message);

    [Fact]
    public void Matrices_beyond_one_tensor_are_refused() =>
        Assert.Contains("vocab_size: expected a matrix of at most 2147483647 elements with hidden_size 262144, found 4194304",
            Assert.Throws<ModelException>(() => Text("llama", ("hidden_size", 262_144), ("vocab_size", 4_194_304))).Message);

    [Theory]
    [InlineData("depth", 0, "vision_config.depth: expected a whole number from 1 to 1024, found 0")]
    [InlineData("num_heads", 3, "vision_config.num_heads: expected a divisor of hidden_size 128")]
    [InlineData("num_heads", 64, "vision_config.num_heads: expected a divisor of hidden_size 128")]
    [InlineData("fullatt_block_indexes", "[4]", "vision_config.fullatt_block_indexes: expected a list of at most 4 numbers")]
    [InlineData("window_size", 14, "vision_config.window_size: expected at least spatial_merge_size · patch_size = 28, found 14")]
    [InlineData("out_hidden_size", 128, "vision_config.out_hidden_size: expected the language model's hidden_size 256")]
    [InlineData("hidden_act", "gelu", "vision_config.hidden_act: expected silu")]
    public void Impossible_vision_values_are_named(string key, object value, string message)
    {
        var json = Shapes();
        var isList = value is string text && text.StartsWith('[');
        json["vision_config"]![key] = isList ? JsonNode.Parse((string)value) : JsonValue.Create(value);
        Refused(message, json);
    }

    [Fact]
    public void A_vision_model_needs_its_parts()
    {
        var json = Shapes();
        json.Remove("vision_config");
        Refused("vision_config: expected an object, found nothing", json);

        json = Shapes();
        json.Remove("rope_scaling");
        Refused("rope_scaling: expected an mrope_section", json);

        json = Shapes();
        json["image_token_id"] = 512;
        Refused("image_token_id: expected a whole number from 0 to 511, found 512", json);
    }

    static JsonObject Shapes() => JsonNode.Parse(File.ReadAllText(Repository.Path("samples/shapes-vlm/config.json")))!.AsObject();

    static void Refused(string message, JsonObject json) =>
        Assert.Contains(message, Assert.Throws<ModelException>(() => Parse(json.ToJsonString())).Message);

    [Fact]
    public void Unknown_types_are_answered_with_the_known_ones()
    {
        var message = Assert.Throws<ModelException>(() => Text("gpt9")).Message;
        const string known = "llama, mistral, qwen2, qwen2_5_vl, qwen3, qwen3_moe";
        Assert.Equal($"folder/config.json: model_type: expected one of {known}, found \"gpt9\".", message);
        Assert.Contains("model_type: expected one of", Assert.Throws<ModelException>(() => Parse("{}")).Message);
        foreach (var type in SupportedModels.Types.Where(type => type != "qwen2_5_vl"))
            Assert.Equal(type, Parse(Changed(type)).ModelType);
    }

    [Theory]
    [InlineData(""), InlineData("{"), InlineData("{} {}"), InlineData("[1]"), InlineData("null"), InlineData("{\"a\": NaN}")]
    public void What_is_no_object_is_refused(string json) =>
        Assert.StartsWith("folder/config.json: ", Assert.Throws<ModelException>(() => Parse(json)).Message);

    [Fact]
    public void Deep_nesting_is_refused() =>
        Assert.Throws<ModelException>(() => Parse("{\"a\":" + new string('[', 5000) + new string(']', 5000) + "}"));

    [Fact]
    public void Generation_settings_are_read()
    {
        var path = Repository.Path("samples/shapes-vlm/generation_config.json");
        Assert.Equal([507, 505], GenerationConfig.Parse(File.ReadAllBytes(path), path).EndTokens);
        var config = GenerationConfig.Parse("""{"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8}"""u8, "g");
        Assert.Equal(new SamplingOptions { DoSample = true, Temperature = 0.7, TopK = 20, TopP = 0.8 }, config.Sampling);
        Assert.Equal(new SamplingOptions { DoSample = false }, GenerationConfig.Parse("{}"u8, "g").Sampling);
        Assert.Contains("g: top_p: expected a number from 0 to 1, found 2",
            Assert.Throws<ModelException>(() => GenerationConfig.Parse("""{"top_p": 2}"""u8, "g")).Message);
    }
}
