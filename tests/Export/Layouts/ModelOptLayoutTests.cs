using System.Security.Cryptography;
using System.Text.Json;
using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Tests.Export.Layouts;

public class ModelOptLayoutTests
{
    public static readonly TheoryData<string, string, string, string?> Recordings = new()
    {
        { "llama", "fp8", "fp8", null },
        { "llama", "fp8--kv_fp8", "fp8", "fp8" },
        { "llama", "fp8--kv_nvfp4", "fp8", "nvfp4" },
        { "llama", "fp8_per_channel_per_token", "fp8_pc_pt", null },
        { "llama", "int8_weight_only", "int8_wo", null },
        { "llama", "int4_blockwise_weight_only", "int4", null },
        { "llama", "nvfp4", "nvfp4", null },
        { "llama", "nvfp4--kv_fp8", "nvfp4", "fp8" },
        { "llama", "nvfp4--kv_nvfp4", "nvfp4", "nvfp4" },
        { "llama", "nvfp4_mlp_only", "nvfp4", null },
        { "llama", "nvfp4_omlp_only", "nvfp4", null },
        { "llama", "w4a16_nvfp4", "w4a16_nvfp4", null },
        { "llama", "mxfp4", "mxfp4", null },
        { "llama", "mxfp4_mlp_weight_only", "mxfp4", null },
        { "llama", "int8", "int8", null },
        { "llama", "w4a8_nvfp4_fp8", "w4a8_nvfp4_fp8", null },
        { "llama", "w4a8_mxfp4_fp8--kv_fp8", "w4a8_mxfp4_fp8", "fp8" },
        { "llama", "fp8_2d_blockwise_weight_only", "fp8_pb_wo", null },
        { "llama", "fp8--kv_fp8_cast", "fp8", "fp8_cast" },
        { "llama", "kvonly--kv_nvfp4_cast", "fp8", "nvfp4_cast" },
        { "llama", "mxfp8", "mxfp8", null },
        { "llama", "mxfp8--kv_fp8", "mxfp8", "fp8" },
        { "llama", "kvonly--kv_fp8", "fp8", "fp8" },
        { "llama", "kvonly--kv_nvfp4", "fp8", "nvfp4" },
        { "vlm", "fp8", "fp8", null },
        { "vlm", "fp8--kv_fp8", "fp8", "fp8" },
        { "vlm", "fp8_per_channel_per_token", "fp8_pc_pt", null },
        { "vlm", "mxfp8", "mxfp8", null },
        { "vlm", "nvfp4", "nvfp4", null },
        { "vlm", "nvfp4--kv_nvfp4", "nvfp4", "nvfp4" },
    };

    static SampleCheckpoint Sample(string model, string preset, string scheme, string? keyValues) =>
        SampleCheckpoint.Quantize(model,
        SampleCheckpoint.Recorded(model, preset), _ => Schemes.Find(scheme)!, keyValues is null ? null
            : Schemes.FindKeyValues(keyValues));

    static unsafe string Hash(Tensor tensor) => System.Convert.ToHexStringLower(
        SHA256.HashData(new ReadOnlySpan<byte>(tensor.Pointer, (int)tensor.Bytes)))[..16];

    static unsafe byte[] Bytes(Tensor tensor) => new ReadOnlySpan<byte>(tensor.Pointer, (int)tensor.Bytes).ToArray();

    /// <summary>
    /// Names, types, shapes and every byte, by the recorded hashes. The recording widened what it left plain to F32.
    /// </summary>
    [Theory]
    [MemberData(nameof(Recordings))]
    public void Tensors_and_configurations_are_those_of_ModelOpt(string model, string preset, string scheme, string? keyValues)
    {
        var recorded = SampleCheckpoint.Recorded(model, preset);
        var sample = Sample(model, preset, scheme, keyValues);
        var expected = recorded.GetProperty("tensors").EnumerateObject()
            .ToDictionary(tensor => tensor.Name, tensor => tensor.Value[2].GetString() == "source" ? "source"
                : $"{tensor.Value[0].GetString()} [{string.Join(", ", tensor.Value[1].EnumerateArray())}] " +
                    tensor.Value[2].GetString());
        var actual = sample.Tensors.ToDictionary(tensor => tensor.Key,
            tensor => expected.GetValueOrDefault(tensor.Key) == "source"
            ? "source" : $"{tensor.Value.DType.Name()} {tensor.Value.Shape} {Hash(tensor.Value)}");
        Assert.Equal(expected.OrderBy(pair => pair.Key, StringComparer.Ordinal),
            actual.OrderBy(pair => pair.Key, StringComparer.Ordinal));

        Same(recorded.GetProperty("hf_quant_config"), sample.HfQuantConfig!);
        Same(recorded.GetProperty("quantization_config"), sample.Config["quantization_config"]!);
    }

    [Theory]
    [MemberData(nameof(Recordings))]
    public void What_is_written_is_read_back(string model, string preset, string scheme, string? keyValues)
    {
        using var folder = new TemporaryFolder();
        var sample = Sample(model, preset, scheme, keyValues);
        sample.Write(folder["out"], maxShardBytes: 200_000);

        using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
        Assert.Equal(sample.Layers.Select(layer => layer.Module).Order(), checkpoint.Quantization!.Modules.Order());
        foreach (var (module, expected) in sample.Layers)
        {
            var stored = checkpoint.Quantization.Linear(module)!;
            Assert.Equal((expected.Name, expected.Weight, expected.Activation),
                (stored.Scheme.Name, stored.Scheme.Weight, stored.Scheme.Activation));
            var again = ModelOptLayout.Tensors(module, stored.Scheme, stored.Weight, stored.InputScale);
            Assert.All(again, tensor => Assert.Equal(Bytes(sample.Tensors[tensor.Name]), Bytes(tensor.Tensor)));
            Assert.Equal(again.Select(tensor => (tensor.Name, tensor.Tensor.DType, tensor.Tensor.Shape)),
                ModelOptLayout.Specs(module, stored.Scheme, stored.Weight.Rows, stored.Weight.Columns)
                    .Select(s => (s.Name, s.DType, s.Shape)));
            Assert.IsType<PackedWeight>(checkpoint.Linear(module));
        }
        Assert.Null(checkpoint.Quantization.Linear("lm_head"));
        Assert.Equal(128, checkpoint.Linear("lm_head").Rows);

        var filter = checkpoint.KeyValues("model.layers.1.self_attn");
        Assert.Equal(keyValues, (filter as QuantizedKeyValues)?.Format.Name);
    }

    /// <summary>
    /// The codes of the layout mean what the codes in memory mean: both decode to nearly the weights they came from.
    /// </summary>
    [Theory]
    [InlineData("int4_blockwise_weight_only", "int4", 0.16)]
    [InlineData("nvfp4", "nvfp4", 0.12)]
    [InlineData("mxfp4", "mxfp4", 0.2)]
    [InlineData("mxfp8", "mxfp8", 0.04)]
    [InlineData("fp8", "fp8", 0.04)]
    public void A_layer_read_back_multiplies_like_the_original(string preset, string scheme, double bound)
    {
        using var folder = new TemporaryFolder();
        SampleCheckpoint.Llama(preset, scheme).Write(folder["out"]);
        using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
        using var original = QuantizedCheckpoint.Open(Nibble.Tests.Support.Repository.Fixture("modelopt/models/llama"));
        const string Module = "model.layers.1.mlp.down_proj";
        ILinearWeight stored = checkpoint.Linear(Module), plain = original.Linear(Module);
        float[] a = new float[stored.Columns], b = new float[stored.Columns];
        double error = 0, total = 0;
        for (var row = 0; row < stored.Rows; row++)
        {
            stored.Decode(row, 0, a);
            plain.Decode(row, 0, b);
            for (var i = 0; i < a.Length; i++)
                (error, total) = (error + Math.Pow(a[i] - b[i], 2), total + Math.Pow(b[i], 2));
        }
        Assert.InRange(Math.Sqrt(error / total), bound / 20, bound);
    }

    [Fact]
    public void Row_pairs_are_those_of_the_published_example()
    {
        // ModelOpt's own example: rows 7 -7 4 1 and -7 5 0 -2 become the bytes 97 59 04 E1.
        var codes = Tensor.Empty(new Shape(2, 2), DType.U8);
        byte[] packed = [0x97, 0x14, 0x59, 0xE0];
        packed.CopyTo(codes.Span<byte>());
        var pairs = RowPairs.FromColumnPairs(codes);
        Assert.Equal(new Shape(1, 4), pairs.Shape);
        Assert.Equal([0x97, 0x59, 0x04, 0xE1], pairs.Span<byte>().ToArray());
        Assert.Equal(packed, RowPairs.ToColumnPairs(pairs).Span<byte>().ToArray());
    }

    [Fact]
    public void What_the_layout_cannot_hold_is_refused()
    {
        var int4 = Schemes.Find("int4")!;
        Assert.Null(ModelOptLayout.Refuse(int4, 64, 256));
        Assert.Contains("multiple", ModelOptLayout.Refuse(int4, 64, 200)!);
        Assert.Contains("pairs", ModelOptLayout.Refuse(int4, 63, 256)!);
        Assert.Contains("no place for int3", ModelOptLayout.Refuse(Schemes.Find("int3")!, 64, 256)!);
        Assert.Contains("64", ModelOptLayout.Refuse(new Scheme("int4-g64", new Int4(64), null), 64, 96)!);
        var weight = WeightQuantizer.Quantize(Tensor.Zeros(64, 256), int4.Weight);
        Assert.Throws<ArgumentException>(() => ModelOptLayout.Tensors("m", Schemes.Find("nvfp4")!, weight));
        var fp8 = Schemes.Find("fp8")!;
        foreach (var scale in new[] { 0f, -1, float.NaN, float.PositiveInfinity })
            Assert.Throws<ArgumentException>(() =>
                ModelOptLayout.Tensors("m", fp8, WeightQuantizer.Quantize(Tensor.Zeros(2, 2), fp8.Weight), scale));
    }

    [Theory]
    [InlineData("model.layers.1.mlp.up_proj.weight_scale_2", 0f, "above 0")]
    [InlineData("model.layers.1.mlp.up_proj.input_scale", float.NaN, "above 0")]
    [InlineData("model.layers.1.mlp.up_proj.input_scale", null, "there is none")]
    [InlineData("model.layers.1.mlp.up_proj.weight", null, "beside weight_scale")]
    public void A_damaged_layer_is_named(string name, float? value, string problem)
    {
        using var folder = new TemporaryFolder();
        var sample = SampleCheckpoint.Llama("nvfp4", "nvfp4");
        if (value is { } number)
            sample.Tensors[name].Span<float>()[0] = number;
        else
            sample.Tensors.Remove(name);
        sample.Write(folder["out"]);
        using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
        var error = Assert.Throws<CheckpointException>(() => checkpoint.Linear("model.layers.1.mlp.up_proj"));
        Assert.Contains(problem, error.Message);
        Assert.Contains(name, error.Message);
    }

    [Fact]
    public void A_wrong_shape_is_named()
    {
        using var folder = new TemporaryFolder();
        var sample = SampleCheckpoint.Llama("nvfp4", "nvfp4");
        sample.Tensors["model.layers.1.mlp.up_proj.weight_scale"] = Tensor.Zeros(new Shape(256, 7), DType.F8E4M3);
        sample.Write(folder["out"]);
        using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
        Assert.Contains("[256, 8] F8_E4M3 expected; found [256, 7]",
            Assert.Throws<CheckpointException>(() => checkpoint.Linear("model.layers.1.mlp.up_proj")).Message);
        sample.Tensors["model.layers.1.mlp.up_proj.weight"] = Tensor.Zeros(new Shape(2, 128, 64), DType.U8);
        sample.Write(folder["deep"]);
        using var deep = QuantizedCheckpoint.Open(folder["deep"]);
        Assert.Contains("tensor 'model.layers.1.mlp.up_proj.weight': a matrix expected",
            Assert.Throws<CheckpointException>(() => deep.Linear("model.layers.1.mlp.up_proj")).Message);
    }

    [Theory]
    [InlineData("quant_algo", "\"NVFP5\"", "NVFP5")]
    [InlineData("group_size", "32", "no algorithm")]
    [InlineData("group_size", "-1", "group_size")]
    [InlineData("group_size", "\"16\"", "group_size")]
    [InlineData("exclude_modules", "{}", "exclude_modules")]
    [InlineData("exclude_modules", "[1]", "exclude_modules")]
    [InlineData("exclude_modules", "[\"\\ud800\"]", "Unicode")]
    [InlineData("quantized_layers", "[]", "quantized_layers")]
    [InlineData("quantized_layers", "{\"a\": 1}", "quantized_layers")]
    [InlineData("quantized_layers", "{}", "it is none")]
    [InlineData("kv_cache_quant_algo", "\"INT3\"", "INT3")]
    public void A_description_this_library_does_not_understand_is_named(string field, string value, string problem)
    {
        using var folder = new TemporaryFolder();
        SampleCheckpoint.Llama("nvfp4", "nvfp4").Write(folder["out"]);
        var path = folder["out/hf_quant_config.json"];
        var text = System.Text.RegularExpressions.Regex.Replace(File.ReadAllText(path), $"\"{field}\":(\\[[^]]*\\]|[^,}}]*),?",
            "");
        File.WriteAllText(path, text.Replace("\"quantization\":{", $"\"quantization\":{{\"{field}\":{value},")
            .Replace(",}", "}"));
        var error = Assert.Throws<CheckpointException>(() =>
        {
            using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
            checkpoint.Linear("model.layers.1.mlp.up_proj");
        });
        Assert.Contains(problem, error.Message);
        Assert.Contains("hf_quant_config.json", error.Message);
    }

    [Fact]
    public void Settings_that_are_no_object_are_refused()
    {
        using var folder = new TemporaryFolder();
        SampleCheckpoint.Llama("nvfp4", "nvfp4").Write(folder["out"]);
        File.WriteAllText(folder["out/hf_quant_config.json"], """{"quantization": []}""");
        var error = Assert.Throws<CheckpointException>(() => QuantizedCheckpoint.Open(folder["out"]));
        Assert.Contains("hf_quant_config.json: an object of quantization settings expected; found Array", error.Message);
    }

    [Fact]
    public void A_plain_layer_that_holds_codes_is_named()
    {
        using var folder = new TemporaryFolder();
        var sample = SampleCheckpoint.Llama("nvfp4", "nvfp4");
        sample.Tensors.Remove("model.layers.1.mlp.up_proj.weight_scale");
        sample.Write(folder["out"]);
        using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
        Assert.Contains("[256, 64] U8",
            Assert.Throws<CheckpointException>(() => checkpoint.Linear("model.layers.1.mlp.up_proj")).Message);
    }

    [Fact]
    public void A_foreign_quantization_is_refused()
    {
        using var folder = new TemporaryFolder();
        var sample = SampleCheckpoint.Llama("fp8", "fp8");
        sample.HfQuantConfig = null;
        sample.Config["quantization_config"]!["quant_method"] = "gptq";
        sample.Write(folder["out"]);
        Assert.Contains("gptq", Assert.Throws<CheckpointException>(() => QuantizedCheckpoint.Open(folder["out"])).Message);
    }

    static void Same(JsonElement expected, System.Text.Json.Nodes.JsonNode actual)
    {
        using var document = JsonDocument.Parse(actual.ToJsonString());
        Assert.True(JsonElement.DeepEquals(expected, document.RootElement),
            $"expected {expected}\nactual {document.RootElement}");
        Assert.Equal(Order(expected), Order(document.RootElement));
    }

    static IEnumerable<string> Order(JsonElement element) => element.EnumerateObject().Select(property => property.Name);
}
