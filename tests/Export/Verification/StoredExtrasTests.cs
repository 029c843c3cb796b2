using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Export.Verification;
using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Tests.Export.Verification;

/// <summary>Factors of inputs, parts of low rank and biases of a cache: good checkpoints, and each thing that can be wrong with them.</summary>
public class StoredExtrasTests
{
    const string Layer = "model.layers.1.", Attention = $"{Layer}self_attn.", Down = $"{Layer}mlp.down_proj.";

    const string LowRankDown = "weight_quantizer._svdquant_lora_a", LowRankUp = "weight_quantizer._svdquant_lora_b";

    [Theory]
    [InlineData("int4", "W4A16_AWQ", Target.TensorRtLlm)]
    [InlineData("w4a8", "W4A8_AWQ", Target.TensorRtLlm)]
    [InlineData("nvfp4", "NVFP4_AWQ", Target.TensorRtLlm)]
    [InlineData("int8", "W8A8_SQ_PER_CHANNEL", Target.TensorRtLlm)]
    [InlineData("nvfp4", "NVFP4_AWQ", Target.Any)]
    public void Factors_are_read_and_found_good(string scheme, string algorithm, Target target) => Good(WithFactors(scheme), algorithm, target);

    [Fact]
    public void Parts_of_low_rank_are_read_and_found_good()
    {
        var packed = Good(WithLowRank(), "NVFP4_SVD", Target.Any);
        Assert.Equal(4, packed.LowRank!.Rank);
    }

    [Theory]
    [InlineData(Target.Vllm)]
    [InlineData(Target.Sglang)]
    [InlineData(Target.TensorRtLlm)]
    public void No_program_is_known_to_read_parts_of_low_rank(Target target) =>
        Finds(WithLowRank(), target, "algorithm-accepted");

    [Theory]
    [InlineData(0f)]
    [InlineData(-1f)]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_factor_that_is_no_positive_number_is_found_and_refused(float value)
    {
        var sample = WithFactors("nvfp4");
        sample.Tensors[$"{Down}pre_quant_scale"].Span<ushort>()[7] = Nibble.Tensors.Convert.SingleToBF16(value);
        Finds(sample, Target.Any, "scales-positive");
        Refuses(sample, "pre_quant_scale");
    }

    [Fact]
    public void Factors_of_another_width_or_type_are_found_and_refused()
    {
        var sample = WithFactors("nvfp4");
        sample.Tensors[$"{Down}pre_quant_scale"] = Ones(255);
        Finds(sample, Target.Any, "shapes-and-types");
        Refuses(sample, "[256] BF16 expected; found [255] BF16");
        sample.Tensors[$"{Down}pre_quant_scale"] = Tensor.Zeros(new Shape(256), DType.I32);
        Finds(sample, Target.Any, "shapes-and-types");
        Refuses(sample, "[256] F32 expected; found [256] I32");
    }

    [Fact]
    public void Factors_beside_a_format_without_them_are_found()
    {
        var sample = SampleCheckpoint.Llama("nvfp4", "nvfp4");
        sample.Tensors[$"{Down}pre_quant_scale"] = Ones(256);
        Finds(sample, Target.Any, "no-leftover");
    }

    [Fact]
    public void Factors_that_differ_among_fused_modules_are_found()
    {
        var sample = WithFactors("int8");
        sample.Tensors[$"{Attention}v_proj.pre_quant_scale"].Span<ushort>()[3] = Nibble.Tensors.Convert.SingleToBF16(2);
        Finds(sample, Target.TensorRtLlm, "pre-quant-scale");
        sample.Tensors.Remove($"{Attention}v_proj.pre_quant_scale");
        Finds(sample, Target.TensorRtLlm, "pre-quant-scale");
    }

    [Theory]
    [InlineData("int4", "mlp.up_proj")]
    [InlineData("int4", "self_attn.k_proj")]
    [InlineData("nvfp4", "self_attn.q_proj")]
    public void Factors_TensorRt_ignores_are_found(string scheme, string module)
    {
        var sample = WithFactors(scheme);
        sample.Tensors[$"{Layer}{module}.pre_quant_scale"] = Ones(128);
        Finds(sample, Target.TensorRtLlm, "pre-quant-scale");
    }

    [Fact]
    public void Factors_TensorRt_needs_are_missed_where_they_are_missing()
    {
        var sample = WithFactors("int4");
        sample.Tensors.Remove($"{Down}pre_quant_scale");
        Finds(sample, Target.TensorRtLlm, "pre-quant-scale");
    }

    [Theory]
    [InlineData(LowRankDown)]
    [InlineData(LowRankUp)]
    public void Half_a_part_of_low_rank_is_found_and_refused(string half)
    {
        var sample = WithLowRank();
        sample.Tensors.Remove(Down + half);
        Finds(sample, Target.Any, "layers-complete", "shapes-and-types");
        Refuses(sample, Down[..^1]);
    }

    [Fact]
    public void A_layer_without_its_part_of_low_rank_is_refused()
    {
        var sample = WithLowRank();
        sample.Tensors.Remove(Down + LowRankDown);
        sample.Tensors.Remove(Down + LowRankUp);
        Finds(sample, Target.Any, "layers-complete");
        Refuses(sample, "a part of low rank expected");
    }

    [Fact]
    public void Parts_of_low_rank_of_other_shapes_are_found_and_refused()
    {
        foreach (var (name, shape) in new[]
        {
            (LowRankDown, new Shape(4, 255)), (LowRankUp, new Shape(128, 3)), (LowRankUp, new Shape(127, 4)), (LowRankDown, new Shape(1024)),
            (LowRankDown, new Shape(4, 16, 16)),
        })
        {
            var sample = WithLowRank();
            sample.Tensors[Down + name] = Tensor.Zeros(shape, DType.BF16);
            Finds(sample, Target.Any, "shapes-and-types");
            Refuses(sample, "expected; found");
        }
    }

    [Fact]
    public void A_part_of_low_rank_beside_a_format_without_one_is_found_and_refused()
    {
        var sample = SampleCheckpoint.Llama("nvfp4", "nvfp4");
        sample.Tensors[Down + LowRankDown] = Tensor.Zeros(new Shape(4, 256), DType.BF16);
        sample.Tensors[Down + LowRankUp] = Tensor.Zeros(new Shape(128, 4), DType.BF16);
        Finds(sample, Target.Any, "no-leftover");
        Refuses(sample, "no part of low rank expected");
    }

    [Theory]
    [InlineData("fp8", typeof(Fp8KeyValues))]
    [InlineData("nvfp4_affine", typeof(NvFp4KeyValues))]
    public void A_centred_cache_is_read_and_found_good(string format, Type type)
    {
        using var folder = new TemporaryFolder();
        Centred(format).Write(folder["out"]);
        Assert.Empty(CheckpointVerifier.Verify(folder["out"], Target.Any));
        using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
        var filter = Assert.IsType<QuantizedKeyValues>(checkpoint.KeyValues(Attention[..^1]));
        Assert.IsType(type, filter.Format);
        Assert.True(filter.Format.Centred);
        Assert.Equal(new Shape(1, 2, 1, 32), filter.KeyBias!.Shape);
    }

    [Fact]
    public void Programs_do_not_read_the_biases_of_a_cache() => Finds(Centred("fp8"), Target.Vllm, "cache-accepted");

    [Fact]
    public void Biases_that_do_not_fit_are_found_and_refused()
    {
        foreach (var change in new Action<SampleCheckpoint>[]
        {
            s => s.Tensors.Remove($"{Attention}v_proj.v_bias"),
            s => s.Tensors[$"{Attention}v_proj.v_bias"] = Tensor.Zeros(1, 2, 1, 16),
            s => s.Tensors[$"{Attention}k_proj.k_bias"] = Tensor.Zeros(new Shape(1, 2, 1, 32), DType.BF16),
            s => (s.Tensors[$"{Attention}k_proj.k_bias"], s.Tensors[$"{Attention}v_proj.v_bias"]) = (Tensor.Zeros(64), Tensor.Zeros(64)),
            s => (s.Tensors[$"{Attention}k_proj.k_bias"], s.Tensors[$"{Attention}v_proj.v_bias"]) =
                (Tensor.Zeros(1, 2, 32, 1), Tensor.Zeros(1, 2, 32, 1)),
        })
        {
            var sample = Centred("fp8");
            change(sample);
            Finds(sample, Target.Any, "cache-biases");
            Assert.Throws<CheckpointException>(() => Read(sample, checkpoint => checkpoint.KeyValues(Attention[..^1])));
        }
        var infinite = Centred("fp8");
        infinite.Tensors[$"{Attention}k_proj.k_bias"].Span<float>()[0] = float.PositiveInfinity;
        Finds(infinite, Target.Any, "plain-finite");
        Assert.Contains("finite", Assert.Throws<CheckpointException>(() =>
            Read(infinite, checkpoint => checkpoint.KeyValues(Attention[..^1]))).Message);
    }

    [Theory]
    [InlineData("k_proj.k_scale", 0)]
    [InlineData("v_proj.v_scale", float.NaN)]
    public void A_cache_scale_that_is_no_positive_number_is_refused(string name, float value)
    {
        var sample = Centred("fp8");
        sample.Tensors[Attention + name].Span<float>()[0] = value;
        Assert.Contains($"a number above 0 expected; found {value}", Assert.Throws<CheckpointException>(() =>
            Read(sample, checkpoint => checkpoint.KeyValues(Attention[..^1]))).Message);
    }

    [Theory]
    [InlineData("fp8_affine", "does not read the biases")]
    [InlineData("nvfp4_rotate", "does not rotate")]
    [InlineData("fp8_cast", null)]
    public void Caches_a_program_does_not_read_are_known_beforehand(string format, string? reason)
    {
        var refusals = CheckpointVerifier.Refusals(Target.TensorRtLlm, [Schemes.Find("fp8")!], Schemes.FindKeyValues(format));
        if (reason is null)
            Assert.Empty(refusals);
        else
            Assert.Contains(reason, Assert.Single(refusals));
    }

    /// <summary>ModelOpt 0.47 writes such checkpoints when no cache format is asked for: nothing is calibrated then.</summary>
    [Fact]
    public void MXFP4_beside_FP8_may_lack_the_scale_of_inputs()
    {
        var scheme = Schemes.Find("w4a8_mxfp4_fp8")!;
        var sample = SampleCheckpoint.Llama("w4a8_mxfp4_fp8--kv_fp8", "w4a8_mxfp4_fp8", "fp8");
        Read(sample, checkpoint => Assert.Equal(scheme.Activation, ((PackedWeight)checkpoint.Linear(Down[..^1])).Activation));
        foreach (var (module, _) in sample.Layers)
            sample.Tensors.Remove($"{module}.input_scale");
        Read(sample, checkpoint => Assert.Equal(new Fp8PerToken(), ((PackedWeight)checkpoint.Linear(Down[..^1])).Activation));
        using var folder = new TemporaryFolder();
        sample.Write(folder["out"]);
        Assert.Empty(CheckpointVerifier.Verify(folder["out"], Target.TensorRtLlm));
    }

    /// <summary>o_proj and down_proj have factors; all modules where the format folds none.</summary>
    static SampleCheckpoint WithFactors(string name)
    {
        var scheme = Schemes.Find(name)! with { PreQuantScale = true };
        var sample = SampleCheckpoint.Quantize("llama", SampleCheckpoint.Recorded("llama", "int8"), _ => scheme);
        foreach (var (module, _) in sample.Layers)
            if (name == "int8" || module.EndsWith(".o_proj", StringComparison.Ordinal) || module.EndsWith(".down_proj", StringComparison.Ordinal))
                sample.Tensors[$"{module}.pre_quant_scale"] =
                    Ones(module.EndsWith(".o_proj", StringComparison.Ordinal) || module.EndsWith(".down_proj", StringComparison.Ordinal) ? 256 : 128);
        return sample;
    }

    static SampleCheckpoint WithLowRank()
    {
        var scheme = Schemes.Find("nvfp4")! with { PreQuantScale = true, LowRank = 4 };
        var sample = SampleCheckpoint.Quantize("llama", SampleCheckpoint.Recorded("llama", "nvfp4"), _ => scheme);
        foreach (var (module, _) in sample.Layers)
        {
            var weight = sample.Tensors[$"{module}.weight"];
            sample.Tensors[$"{module}.{LowRankDown}"] = Tensor.Zeros(new Shape(4, weight.Columns * 2L), DType.BF16);
            sample.Tensors[$"{module}.{LowRankUp}"] = Tensor.Zeros(new Shape(weight.Rows, 4), DType.BF16);
        }
        return sample;
    }

    static SampleCheckpoint Centred(string format)
    {
        var sample = SampleCheckpoint.Llama("fp8--kv_fp8", "fp8", format == "fp8" ? "fp8" : "nvfp4");
        if (format != "fp8")
        {
            sample.HfQuantConfig!["quantization"]!["kv_cache_quant_algo"] = "NVFP4_AFFINE";
            sample.Config["quantization_config"]!["kv_cache_scheme"] = "NVFP4_AFFINE";
        }
        for (var layer = 0; layer < 2; layer++)
            foreach (var bias in (string[])["k_proj.k_bias", "v_proj.v_bias"])
                sample.Tensors[$"model.layers.{layer}.self_attn.{bias}"] = Tensor.Zeros(1, 2, 1, 32);
        return sample;
    }

    static PackedWeight Good(SampleCheckpoint sample, string algorithm, Target target)
    {
        using var folder = new TemporaryFolder();
        sample.Write(folder["out"], maxShardBytes: 100_000);
        Assert.Empty(CheckpointVerifier.Verify(folder["out"], target));
        using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
        Assert.Equal(algorithm, checkpoint.Quantization!.Algorithm);
        foreach (var (module, expected) in sample.Layers)
        {
            var stored = checkpoint.Quantization.Linear(module)!;
            Assert.Equal(sample.Tensors.ContainsKey($"{module}.pre_quant_scale"), stored.PreQuantScale is not null);
            Assert.Equal((expected.Weight, expected.Activation, expected.LowRank), (stored.Scheme.Weight, stored.Scheme.Activation, stored.Scheme.LowRank));
        }
        return (PackedWeight)checkpoint.Linear(Down[..^1]);
    }

    static void Finds(SampleCheckpoint sample, Target target, string rule, params string[] also)
    {
        using var folder = new TemporaryFolder();
        sample.Write(folder["out"]);
        var findings = CheckpointVerifier.Verify(folder["out"], target);
        Assert.Contains(findings, finding => finding.Rule == rule);
        Assert.DoesNotContain(findings, finding => finding.Rule != rule && !also.Contains(finding.Rule));
    }

    static void Refuses(SampleCheckpoint sample, string problem) =>
        Assert.Contains(problem, Assert.Throws<CheckpointException>(() => Read(sample, checkpoint => checkpoint.Linear(Down[..^1]))).Message);

    static void Read(SampleCheckpoint sample, Action<QuantizedCheckpoint> read)
    {
        using var folder = new TemporaryFolder();
        sample.Write(folder["out"]);
        using var checkpoint = QuantizedCheckpoint.Open(folder["out"]);
        read(checkpoint);
    }

    static Tensor Ones(int width)
    {
        var tensor = Tensor.Empty(new Shape(width), DType.BF16);
        tensor.Span<ushort>().Fill(0x3F80);
        return tensor;
    }
}
