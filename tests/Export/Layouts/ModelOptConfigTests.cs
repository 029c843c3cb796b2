using System.Text;
using System.Text.Json;
using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Tests.Support;

namespace Nibble.Tests.Export.Layouts;

public class ModelOptConfigTests
{
    public static TheoryData<string> Mixed =>
        ["nvfp4_fp8_5.4_gradient", "nvfp4_fp8_6.0_kl", "nvfp4_fp8_5.05_gradient", "nvfp4_fp8_10.0_gradient"];

    static JsonElement Parse(byte[] json) => JsonDocument.Parse(json).RootElement;

    static void Same(JsonElement expected, byte[] actual) =>
        Assert.True(JsonElement.DeepEquals(expected, Parse(actual)),
            $"expected {expected}\nactual {Encoding.UTF8.GetString(actual)}");

    [Theory]
    [MemberData(nameof(Mixed))]
    public void Mixed_precision_lists_layers_and_groups_as_ModelOpt_does(string name)
    {
        var recorded = Parse(File.ReadAllBytes(Repository.Fixture("modelopt/auto_quantize/configs.json"))).GetProperty(name);
        var quantization = recorded.GetProperty("hf_quant_config").GetProperty("quantization");
        var modules = Enumerable.Range(0, 2)
            .SelectMany(layer => new[] { "q", "k", "v", "o" }.Select(n => $"model.layers.{layer}.self_attn.{n}_proj")
            .Concat(new[] { "gate", "up", "down" }.Select(n => $"model.layers.{layer}.mlp.{n}_proj")));
        var excluded = quantization.TryGetProperty("exclude_modules", out var names)
            ? names.EnumerateArray().Select(name => name.GetString()!).ToList() : ["lm_head", "model.embed_tokens"];
        var layers = modules.Where(module => !excluded.Contains(module)).Select(module => (module, ModelOptFormat.Find(
            quantization.TryGetProperty("quantized_layers", out var list)
                ? list.GetProperty(module).GetProperty("quant_algo").GetString()!
            : quantization.GetProperty("quant_algo").GetString()!)!)).ToList();
        var config = new ModelOptConfig(layers, excluded, null, new ModelOptProducer());
        Same(recorded.GetProperty("hf_quant_config"), config.HfQuantConfig());
        Same(recorded.GetProperty("quantization_config"), config.QuantizationConfig());
    }

    [Theory]
    [InlineData("fp8", "FP8")]
    [InlineData("fp8_per_channel_per_token", "FP8_PER_CHANNEL_PER_TOKEN")]
    [InlineData("int8_weight_only", "W8A16")]
    [InlineData("mamba_moe_fp8_aggressive", "FP8")]
    [InlineData("mamba_moe_nvfp4_conservative", "NVFP4")]
    [InlineData("mxfp4", "mxfp4")]
    [InlineData("mxfp8", "MXFP8")]
    [InlineData("nvfp4", "NVFP4")]
    public void Routers_of_experts_are_excluded_by_name(string preset, string algorithm)
    {
        var recorded = SampleCheckpoint.Recorded("moe", preset);
        var tensors = recorded.GetProperty("tensors");
        var matrices = tensors.EnumerateObject().Where(t => t.Name.EndsWith(".weight", StringComparison.Ordinal)
            && t.Value[1].GetArrayLength() >= 2).Select(t => t.Name[..^".weight".Length])
                .ToLookup(m => tensors.TryGetProperty($"{m}.weight_scale", out _));
        var config = new ModelOptConfig([.. matrices[true].Select(module => (module, ModelOptFormat.Find(algorithm)!))],
            [.. matrices[false]],
            null, new ModelOptProducer());
        Same(recorded.GetProperty("hf_quant_config"), config.HfQuantConfig());
        Same(recorded.GetProperty("quantization_config"), config.QuantizationConfig());
    }

    [Fact]
    public void The_producer_is_the_one_given()
    {
        var config = new ModelOptConfig([], [], "FP8", new ModelOptProducer("nibble", "0.1.0"));
        Assert.Equal("""{"name":"nibble","version":"0.1.0"}""",
            JsonSerializer.Serialize(Parse(config.HfQuantConfig()).GetProperty("producer")));
    }

    [Theory]
    [InlineData("visual.blocks.0.qkv|visual.patch_embed.proj", "model.layers.0.up_proj", "visual*")]
    [InlineData("model.layers.1.q|model.layers.1.k", "model.layers.2.q|model.layers.10.q", "model.layers.1|model.layers.1.*")]
    [InlineData("model.layers.1.q", "model.layers.2.q", "model.layers.1*")]
    [InlineData("lm_head", "model.up", "lm_head")]
    [InlineData("a.b.c", "a.b.d", "a.b.c")]
    public void Patterns_are_the_shortest_that_hit_no_quantized_module(string unquantized, string quantized, string patterns)
    {
        var found = ExcludePatterns.Of(unquantized.Split('|'), quantized.Split('|'));
        Assert.Equal(patterns.Split('|'), found);
        Assert.All(unquantized.Split('|'), name => Assert.True(ExcludePatterns.Match(found, name)));
        Assert.All(quantized.Split('|'), name => Assert.False(ExcludePatterns.Match(found, name)));
    }

    [Theory]
    [InlineData("a*c", "abc", true)]
    [InlineData("a*c", "abcd", false)]
    [InlineData("*mlp*gate*", "model.mlp.x.gate_proj", true)]
    [InlineData("a*a", "a", false)]
    [InlineData("model.vision", "model.vision.blocks.0", true)]
    [InlineData("model.vision", "model.vision_tower", false)]
    public void Patterns_match_as_loaders_match_them(string pattern, string name, bool matches) =>
        Assert.Equal(matches, ExcludePatterns.Match([pattern], name));

    [Theory]
    [InlineData("{\n  \"a\": 1.50,\n  \"b\": {\"c\": [ 1 ]}\n}\n",
        "{\n  \"a\": 1.50,\n  \"b\": {\"c\": [ 1 ]},\n  \"q\": {\n    \"x\": 1\n  }\n}\n")]
    [InlineData("{\"a\":1e3}", "{\"a\":1e3,\"q\": {\"x\": 1}}")]
    [InlineData("{}", "{\"q\": {\"x\": 1}}")]
    [InlineData("{\n \"q\": [1, {\"q\": 2}],\n \"a\": \"\\u00e9\"\n}", "{\n \"q\": {\n   \"x\": 1\n },\n \"a\": \"\\u00e9\"\n}")]
    [InlineData("{\"b\": {\"q\": 1}}", "{\"b\": {\"q\": 1},\"q\": {\"x\": 1}}")]
    public void One_property_is_set_and_every_other_byte_kept(string before, string after) =>
        Assert.Equal(after, Encoding.UTF8.GetString(
            JsonEdit.Set("f", Encoding.UTF8.GetBytes(before), "q", "{\n  \"x\": 1\n}"u8)));

    [Theory]
    [InlineData("{\n \"t\": {\n  \"q\": true,\n  \"a\": [1]\n },\n \"q\": true\n}", "{\n \"t\": {\n  \"q\": false,\n  \"a\": [1]\n },\n \"q\": true\n}")]
    [InlineData("{\"t\": {\"a\": {\"q\": true}}}", "{\"t\": {\"a\": {\"q\": true}}}")]
    [InlineData("{\"t\": [{\"q\": true}], \"q\": 1}", "{\"t\": [{\"q\": true}], \"q\": 1}")]
    [InlineData("{\"t\": 1}", "{\"t\": 1}")]
    [InlineData("{}", "{}")]
    public void A_property_of_an_object_below_is_set_where_it_is_found(string before, string after) =>
        Assert.Equal(after, Encoding.UTF8.GetString(JsonEdit.SetWhereFound("f", Encoding.UTF8.GetBytes(before), "t", "q", "false"u8)));

    [Theory]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("{} {}")]
    [InlineData("")]
    public void A_file_that_is_no_object_is_refused(string json) =>
        Assert.Throws<CheckpointException>(() => JsonEdit.Set("f", Encoding.UTF8.GetBytes(json), "q", "1"u8));
}
