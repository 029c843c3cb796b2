using System.Text.Json.Nodes;
using Nibble.Export;
using Nibble.Export.Verification;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Export.Verification;

public class CheckpointVerifierTests
{
    const string Layer = "model.layers.1.";

    static IReadOnlyList<Finding> Verify(SampleCheckpoint sample, Target target)
    {
        using var folder = new TemporaryFolder();
        sample.Write(folder["out"], maxShardBytes: 300_000);
        return CheckpointVerifier.Verify(folder["out"], target);
    }

    /// <summary>A checkpoint with one change breaks one rule, once or for each of a few tensors.</summary>
    static void Breaks(string rule, string preset, string scheme, Action<SampleCheckpoint> change, Target target = Target.Vllm,
        string? keyValues = null, params string[] also)
    {
        var sample = SampleCheckpoint.Llama(preset, scheme, keyValues);
        change(sample);
        var findings = Verify(sample, target);
        Assert.Contains(findings, finding => finding.Rule == rule);
        Assert.DoesNotContain(findings, finding => finding.Rule != rule && !also.Contains(finding.Rule));
        Assert.All(findings, finding => Assert.Contains(finding.Rule, CheckpointVerifier.RuleNames));
    }

    [Theory]
    [InlineData("fp8", "fp8", null, Target.Vllm)]
    [InlineData("fp8--kv_fp8", "fp8", "fp8", Target.Vllm)]
    [InlineData("fp8--kv_fp8", "fp8", "fp8", Target.Sglang)]
    [InlineData("fp8_per_channel_per_token", "fp8_pc_pt", null, Target.Vllm)]
    [InlineData("fp8_per_channel_per_token", "fp8_pc_pt", null, Target.TensorRtLlm)]
    [InlineData("nvfp4", "nvfp4", null, Target.Vllm)]
    [InlineData("nvfp4", "nvfp4", null, Target.Sglang)]
    [InlineData("nvfp4--kv_nvfp4", "nvfp4", "nvfp4", Target.TensorRtLlm)]
    [InlineData("nvfp4_omlp_only", "nvfp4", null, Target.TensorRtLlm)]
    [InlineData("w4a16_nvfp4", "w4a16_nvfp4", null, Target.Vllm)]
    [InlineData("mxfp8--kv_fp8", "mxfp8", "fp8", Target.Vllm)]
    [InlineData("int8_weight_only", "int8_wo", null, Target.TensorRtLlm)]
    [InlineData("int4_blockwise_weight_only", "int4", null, Target.Any)]
    [InlineData("mxfp4", "mxfp4", null, Target.Any)]
    [InlineData("nvfp4--kv_nvfp4", "nvfp4", "nvfp4", Target.Any)]
    public void A_good_checkpoint_has_no_findings(string preset, string scheme, string? keyValues, Target target) =>
        Assert.Empty(Verify(SampleCheckpoint.Llama(preset, scheme, keyValues), target));

    [Theory]
    [InlineData("int8_wo", null, Target.Vllm, "W8A16")]
    [InlineData("nvfp4", "nvfp4", Target.Vllm, "a cache in nvfp4")]
    [InlineData("fp8", null, Target.Transformers, "reads no such checkpoint")]
    [InlineData("nvfp4", "nvfp4", Target.Any, null)]
    [InlineData("fp8", "fp8", Target.Sglang, null)]
    public void What_a_program_will_not_load_is_known_beforehand(string scheme, string? keyValues, Target target, string? reason)
    {
        var refusals = CheckpointVerifier.Refusals(target, [Schemes.Find(scheme)!], keyValues is null ? null : Schemes.FindKeyValues(keyValues));
        if (reason is null)
            Assert.Empty(refusals);
        else
            Assert.Contains(reason, Assert.Single(refusals));
    }

    [Theory]
    [InlineData("int8_weight_only", "int8_wo", Target.Vllm, "W8A16")]
    [InlineData("int4_blockwise_weight_only", "int4", Target.Vllm, "W4A16_AWQ")]
    [InlineData("mxfp4", "mxfp4", Target.TensorRtLlm, "mxfp4")]
    [InlineData("mxfp8", "mxfp8", Target.Sglang, "MXFP8")]
    [InlineData("w4a16_nvfp4", "w4a16_nvfp4", Target.TensorRtLlm, "W4A16_NVFP4")]
    [InlineData("fp8", "fp8", Target.Transformers, "FP8")]
    public void An_algorithm_the_program_does_not_read_is_found(string preset, string scheme, Target target, string algorithm)
    {
        var finding = Assert.Single(Verify(SampleCheckpoint.Llama(preset, scheme), target));
        Assert.Equal(("algorithm-accepted", algorithm), (finding.Rule, finding.Found));
    }

    [Fact]
    public void Mixed_precision_is_read_by_some_programs()
    {
        var sample = SampleCheckpoint.Quantize("llama", SampleCheckpoint.Recorded("llama", "nvfp4"),
            module => Schemes.Find(module.Contains("down", StringComparison.Ordinal) ? "fp8" : "nvfp4")!);
        Assert.Equal("MIXED_PRECISION", (string?)sample.HfQuantConfig!["quantization"]!["quant_algo"]);
        Assert.Empty(Verify(sample, Target.Vllm));
        Assert.Empty(Verify(sample, Target.TensorRtLlm));
        Assert.Equal("MIXED_PRECISION", Assert.Single(Verify(sample, Target.Sglang)).Found);

        foreach (var fields in new[] { sample.HfQuantConfig["quantization"]!, sample.Config["quantization_config"]! })
            fields["quantized_layers"]![Layer + "mlp.gone"] = new JsonObject { ["quant_algo"] = "FP8" };
        Assert.Equal("layers-complete", Assert.Single(Verify(sample, Target.Vllm)).Rule);
    }

    [Fact]
    public void A_plain_checkpoint_has_no_findings()
    {
        foreach (var target in Enum.GetValues<Target>())
            Assert.Empty(CheckpointVerifier.Verify(Repository.Fixture("modelopt/models/llama"), target));
    }

    [Fact]
    public void A_folder_that_cannot_be_opened_is_one_finding() =>
        Assert.Equal("readable", Assert.Single(
            CheckpointVerifier.Verify(Repository.Fixture("layouts/safetensors/sharded-missing-shard"),
            Target.Vllm)).Rule);

    [Fact]
    public void Both_descriptions_must_be_there()
    {
        Breaks("configs-present", "fp8", "fp8", sample => sample.HfQuantConfig = null);
        Breaks("configs-present", "fp8", "fp8", sample => sample.Config.AsObject().Remove("quantization_config"));
        Breaks("configs-present", "fp8", "fp8", sample =>
        {
            sample.HfQuantConfig = null;
            sample.Config.AsObject().Remove("quantization_config");
        });
    }

    [Theory]
    [InlineData("quant_algo", "\"FP8_PER_CHANNEL_PER_TOKEN\"")]
    [InlineData("ignore", "[\"lm_head\"]")]
    [InlineData("kv_cache_scheme", "\"NVFP4\"")]
    public void The_descriptions_must_agree(string field, string value) => Breaks("configs-agree", "fp8", "fp8",
        sample => sample.Config["quantization_config"]![field] = JsonNode.Parse(value));

    [Theory]
    [InlineData("kv_cache_quant_algo")]
    [InlineData("exclude_modules")]
    public void Nvfp4_needs_every_field(string field) => Breaks("fields-present", "nvfp4", "nvfp4",
        sample => sample.HfQuantConfig!["quantization"]!.AsObject().Remove(field), Target.Sglang, null, "configs-agree",
            "all-covered");

    [Fact]
    public void Sglang_needs_an_excluded_module() => Breaks("fields-present", "nvfp4", "nvfp4",
        sample => sample.HfQuantConfig!["quantization"]!["exclude_modules"] = new JsonArray(), Target.Sglang, null,
            "configs-agree", "all-covered");

    [Fact]
    public void A_cache_format_the_program_does_not_read_is_found() =>
        Breaks("cache-accepted", "nvfp4--kv_nvfp4", "nvfp4", _ => { }, Target.Vllm, "nvfp4");

    [Fact]
    public void A_wrong_total_size_is_found()
    {
        using var folder = new TemporaryFolder();
        SampleCheckpoint.Llama("fp8", "fp8").Write(folder["out"], maxShardBytes: 100_000);
        var index = folder["out/model.safetensors.index.json"];
        File.WriteAllText(index, File.ReadAllText(index).Replace("\"total_size\": ", "\"total_size\": 1"));
        Assert.Equal("index-consistent", Assert.Single(CheckpointVerifier.Verify(folder["out"], Target.Vllm)).Rule);
    }

    [Theory]
    [InlineData("nvfp4", "nvfp4", "weight_scale_2")]
    [InlineData("nvfp4", "nvfp4", "input_scale")]
    [InlineData("nvfp4", "nvfp4", "weight_scale")]
    [InlineData("mxfp8", "mxfp8", "weight_scale")]
    [InlineData("fp8", "fp8", "input_scale")]
    public void A_missing_tensor_is_found(string preset, string scheme, string tensor) =>
        Breaks("layers-complete", preset, scheme, sample => sample.Tensors.Remove($"{Layer}mlp.down_proj.{tensor}"));

    [Fact]
    public void A_missing_weight_is_found() =>
        Breaks("layers-complete", "fp8", "fp8", sample => sample.Tensors.Remove($"{Layer}mlp.down_proj.weight"));

    [Fact]
    public void A_wrong_shape_or_type_is_found()
    {
        Breaks("shapes-and-types", "nvfp4", "nvfp4",
            s => s.Tensors[$"{Layer}mlp.down_proj.weight_scale"] = Ones(new Shape(128, 8)));
        Breaks("shapes-and-types", "fp8", "fp8", s => s.Tensors[$"{Layer}mlp.down_proj.weight_scale"] = One(new Shape(1, 1)));
        Breaks("shapes-and-types", "fp8", "fp8",
            s => s.Tensors[$"{Layer}mlp.down_proj.weight_scale"] = Tensor.Zeros(default, DType.BF16));
        Breaks("shapes-and-types", "fp8_per_channel_per_token", "fp8_pc_pt",
            s => s.Tensors[$"{Layer}mlp.down_proj.weight_scale"] = One(new Shape(1)));
    }

    [Fact]
    public void A_scalar_may_have_one_dimension()
    {
        var sample = SampleCheckpoint.Llama("fp8", "fp8");
        sample.Tensors[$"{Layer}mlp.down_proj.weight_scale"] = One(new Shape(1));
        Assert.Empty(Verify(sample, Target.Vllm));
    }

    [Fact]
    public void Inputs_that_are_no_whole_groups_are_found() => Breaks("group-divides", "nvfp4", "nvfp4", sample =>
    {
        sample.Tensors[$"{Layer}mlp.down_proj.weight"] = Tensor.Zeros(new Shape(128, 124), DType.U8); // 248 inputs
        sample.Tensors[$"{Layer}mlp.down_proj.weight_scale"] = Ones(new Shape(128, 15));
    });

    [Fact]
    public void Codes_of_an_excluded_module_are_found() => Breaks("excluded-plain", "fp8", "fp8", sample =>
    {
        foreach (var list in new[] { sample.HfQuantConfig!["quantization"]!["exclude_modules"]!,
            sample.Config["quantization_config"]!["ignore"]! })
            list.AsArray().Add($"{Layer}mlp.down_proj");
    }, Target.Vllm, null, "no-leftover");

    [Fact]
    public void A_plain_matrix_that_is_not_excluded_is_found() => Breaks("all-covered", "fp8", "fp8", sample =>
    {
        foreach (var list in new[] { sample.HfQuantConfig!["quantization"]!["exclude_modules"]!,
            sample.Config["quantization_config"]!["ignore"]! })
            list.AsArray().RemoveAt(0); // lm_head
    });

    [Fact]
    public void A_scale_nothing_uses_is_found()
    {
        Breaks("no-leftover", "mxfp8", "mxfp8", s => s.Tensors[$"{Layer}mlp.down_proj.input_scale"] = One(default));
        Breaks("no-leftover", "fp8", "fp8", s => s.Tensors[$"{Layer}mlp.down_proj.weight_scale_2"] = One(default));
        Breaks("no-leftover", "fp8", "fp8", s => s.Tensors["lm_head.input_scale"] = One(default));
        Breaks("no-leftover", "fp8", "fp8", s => s.Tensors[$"{Layer}self_attn.k_bmm_quantizer._amax"] = One(default));
        Breaks("no-leftover", "fp8", "fp8", s =>
        {
            s.Tensors[$"{Layer}self_attn.k_proj.k_scale"] = One(default);
            s.Tensors[$"{Layer}self_attn.v_proj.v_scale"] = One(default);
        });
    }

    [Fact]
    public void A_cache_scale_without_its_sibling_is_found()
    {
        Breaks("cache-scales", "fp8--kv_fp8", "fp8", s => s.Tensors.Remove($"{Layer}self_attn.v_proj.v_scale"), Target.Vllm,
            "fp8");
        Breaks("cache-scales", "fp8--kv_fp8", "fp8", s => s.Tensors[$"{Layer}self_attn.k_proj.k_scale"] = One(new Shape(2)),
            Target.Vllm, "fp8");
    }

    [Theory]
    [InlineData("mlp.down_proj.weight_scale", 0f)]
    [InlineData("mlp.down_proj.weight_scale", -1f)]
    [InlineData("mlp.down_proj.input_scale", float.NaN)]
    [InlineData("self_attn.k_proj.k_scale", float.PositiveInfinity)]
    public void A_scale_that_is_no_positive_number_is_found(string name, float value) =>
        Breaks("scales-positive", "fp8--kv_fp8", "fp8", s => s.Tensors[Layer + name].Span<float>()[0] = value, Target.Vllm,
            "fp8");

    [Theory]
    [InlineData("nvfp4", 0x00)]
    [InlineData("nvfp4", 0x7F)]
    [InlineData("nvfp4", 0x80)]
    [InlineData("nvfp4", 0xFE)]
    [InlineData("mxfp8", 0xFF)]
    public void A_block_scale_that_is_no_positive_number_is_found(string preset, byte value) =>
        Breaks("block-scales-valid", preset, preset,
            s => s.Tensors[$"{Layer}mlp.down_proj.weight_scale"].Span<byte>()[77] = value);

    [Theory]
    [InlineData(0x7F)]
    [InlineData(0xFF)]
    public void A_code_that_is_NaN_is_found(byte value) =>
        Breaks("codes-are-numbers", "fp8", "fp8", s => s.Tensors[$"{Layer}mlp.down_proj.weight"].Span<byte>()[^1] = value);

    [Theory]
    [InlineData("lm_head.weight", 0x7F80)]
    [InlineData("model.norm.weight", 0x7FC0)]
    public void A_plain_number_that_is_not_finite_is_found(string name, ushort bits) =>
        Breaks("plain-finite", "fp8", "fp8", s => s.Tensors[name].Span<ushort>()[^1] = bits);

    [Fact]
    public void Fused_modules_of_different_formats_are_found()
    {
        var sample = SampleCheckpoint.Quantize("llama", SampleCheckpoint.Recorded("llama", "nvfp4"),
            module => Schemes.Find(module.Contains("1.self_attn.v_proj", StringComparison.Ordinal) ? "fp8" : "nvfp4")!);
        var finding = Assert.Single(Verify(sample, Target.Vllm));
        Assert.Equal(("fused-formats-equal", "FP8"), (finding.Rule, finding.Found));
    }

    [Theory]
    [InlineData("self_attn.k_proj.weight_scale_2")]
    [InlineData("self_attn.v_proj.input_scale")]
    [InlineData("mlp.up_proj.weight_scale_2")]
    [InlineData("mlp.up_proj.input_scale")]
    public void Fused_modules_with_different_scales_are_found(string name) =>
        Breaks("fused-scales-equal", "nvfp4", "nvfp4", s => s.Tensors[Layer + name].Span<float>()[0] *= 1.0001f);

    [Fact]
    public void Fp8_modules_need_not_share_scales() =>
        Assert.NotEqual(Scale("self_attn.q_proj"), Scale("self_attn.k_proj"));

    [Fact]
    public void TensorRt_needs_input_factors_beside_int4() =>
        Breaks("pre-quant-scale", "int4_blockwise_weight_only", "int4", _ => { }, Target.TensorRtLlm);

    static float Scale(string module) =>
        SampleCheckpoint.Llama("fp8", "fp8").Tensors[$"{Layer}{module}.weight_scale"].Span<float>()[0];

    static Tensor One(Shape shape)
    {
        var tensor = Tensor.Empty(shape);
        tensor.Span<float>().Fill(1);
        return tensor;
    }

    static Tensor Ones(Shape shape)
    {
        var tensor = Tensor.Empty(shape, DType.F8E4M3);
        tensor.Span<byte>().Fill(0x38);
        return tensor;
    }
}
