namespace Nibble.Quant.Formats;

/// <summary>The schemes by name. Aliases are the names ModelOpt has for them: of 0.40's <c>--qformat</c> and of 0.47's presets.</summary>
public static class Schemes
{
    /// <summary>Schemes that checkpoints are written in.</summary>
    public static IReadOnlyList<Scheme> All { get; } =
    [
        new("fp8", new Fp8(), new Fp8PerTensor())
        {
            Description = "E4M3 weights and activations, one scale per tensor",
            ReadBy = "vLLM, SGLang, TensorRT-LLM; Ada, Hopper and newer",
        },
        new("fp8_pc_pt", new Fp8PerChannel(), new Fp8PerToken())
        {
            Aliases = ["fp8_per_channel_per_token"],
            Description = "E4M3 weights, a scale per output; E4M3 activations, a scale per token; needs no data",
            ReadBy = "vLLM; Ada, Hopper and newer",
        },
        new("int8_wo", new Int8PerChannel(), null)
        {
            Aliases = ["int8_weight_only"],
            Description = "INT8 weights, a scale per output; needs no data",
            ReadBy = "vLLM in the compressed-tensors layout",
        },
        new("int4", new Int4(), null)
        {
            Aliases = ["int4_blockwise_weight_only"],
            Description = "INT4 weights in groups of 128; needs no data",
            ReadBy = "vLLM in the compressed-tensors layout",
        },
        new("nvfp4", new NvFp4(), new NvFp4Activation())
        {
            Description = "E2M1 weights and activations in blocks of 16 with E4M3 scales",
            ReadBy = "vLLM, SGLang, TensorRT-LLM; Blackwell (vLLM: weights only on older ones)",
        },
        new("w4a16_nvfp4", new NvFp4(), null)
        {
            Description = "E2M1 weights in blocks of 16 with E4M3 scales; needs no data",
            ReadBy = "vLLM",
        },
        new("mxfp4", new MxFp4(), new MxFp4Activation())
        {
            Description = "E2M1 weights and activations in blocks of 32 with powers of two; needs no data",
            ReadBy = "vLLM in the compressed-tensors layout",
        },
        new("mxfp8", new MxFp8(), new MxFp8Activation())
        {
            Description = "E4M3 weights and activations in blocks of 32 with powers of two; needs no data",
            ReadBy = "vLLM",
        },
    ];

    /// <summary>Schemes to measure with only: no runtime reads them.</summary>
    public static IReadOnlyList<Scheme> EvaluationOnly { get; } =
    [
        new("int3", new IntGroup(3), null) { Description = "INT3 weights in groups of 128", ReadBy = "evaluation here" },
        new("int2", new IntGroup(2, symmetric: false), null)
        {
            Description = "INT2 weights in groups of 128 with zero points",
            ReadBy = "evaluation here",
        },
    ];

    /// <summary>The scheme of this name or alias in either list, or null. Case and <c>-</c> for <c>_</c> do not matter.</summary>
    public static Scheme? Find(string name)
    {
        var wanted = name.Replace('-', '_');
        return All.Concat(EvaluationOnly).FirstOrDefault(scheme => scheme.Aliases.Prepend(scheme.Name)
            .Any(known => known.Equals(wanted, StringComparison.OrdinalIgnoreCase)));
    }
}
