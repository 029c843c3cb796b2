namespace Nibble.Quant.Formats;

/// <summary>A scheme as a listing shows it.</summary>
/// <param name="Aliases">What ModelOpt calls it: the <c>--qformat</c> names of 0.40, the preset names of 0.47.</param>
/// <param name="Description">One line.</param>
/// <param name="Consumers">What loads such a checkpoint.</param>
public sealed record SchemeEntry(Scheme Scheme, IReadOnlyList<string> Aliases, string Description, string Consumers);

/// <summary>A cache format as a listing shows it.</summary>
public sealed record KeyValueEntry(KeyValueFormat Format, IReadOnlyList<string> Aliases, string Description, string Consumers);

/// <summary>Schemes and cache formats by name. Case, and <c>-</c> for <c>_</c>, do not matter.</summary>
public static class Schemes
{
    /// <summary>Schemes that checkpoints are written in.</summary>
    public static IReadOnlyList<SchemeEntry> All { get; } =
    [
        new(new("fp8", new Fp8(), new Fp8PerTensor()), [],
            "E4M3 weights and activations, one scale per tensor", "vLLM, SGLang, TensorRT-LLM; Ada, Hopper and newer"),
        new(new("fp8_pc_pt", new Fp8PerChannel(), new Fp8PerToken()), ["fp8_per_channel_per_token"],
            "E4M3 weights, a scale per output; E4M3 activations, a scale per token", "vLLM, TensorRT-LLM; Ada, Hopper and newer"),
        new(new("fp8_pb_wo", new Fp8Blocks(), null), ["fp8_2d_blockwise_weight_only"],
            "E4M3 weights, a scale per block of 128 by 128", "vLLM, TensorRT-LLM; Ada, Hopper and newer"),
        new(new("int8", new Int8PerChannel(), new Int8PerTensor()), [],
            "INT8 weights, a scale per output; INT8 activations, one scale", "TensorRT-LLM"),
        new(new("int8_wo", new Int8PerChannel(), null), ["int8_weight_only"],
            "INT8 weights, a scale per output", "TensorRT-LLM"),
        new(new("int4", new Int4(), null), ["int4_blockwise_weight_only"],
            "INT4 weights in groups of 128", "this engine; runtimes want another layout"),
        new(new("w4a8", new Int4Fp8(), new Fp8PerTensor()), [],
            "INT4 weights in groups of 128, rounded to E4M3 for E4M3 activations", "TensorRT-LLM; Ada, Hopper and newer"),
        new(new("nvfp4", new NvFp4(), new NvFp4Activation()), [],
            "E2M1 weights and activations in blocks of 16 with E4M3 scales", "vLLM, SGLang, TensorRT-LLM; Blackwell"),
        new(new("w4a16_nvfp4", new NvFp4(), null), [],
            "E2M1 weights in blocks of 16 with E4M3 scales", "vLLM"),
        new(new("w4a8_nvfp4_fp8", new NvFp4(32, InFp8: true), new Fp8PerTensor()), [],
            "E2M1 weights in blocks of 32 with E4M3 scales, E4M3 activations", "TensorRT-LLM; Blackwell"),
        new(new("mxfp4", new MxFp4(), new MxFp4Activation()), [],
            "E2M1 weights and activations in blocks of 32 with powers of two", "this engine; runtimes want another layout"),
        new(new("w4a8_mxfp4_fp8", new MxFp4(), new Fp8PerTensor()), [],
            "E2M1 weights in blocks of 32 with powers of two, E4M3 activations", "TensorRT-LLM; Blackwell"),
        new(new("w4a8_mxfp4_fp8_dynamic", new MxFp4(), new Fp8PerToken()), [],
            "the same, activations scaled at run time; ModelOpt 0.47 writes it unless a cache format is asked for", "TensorRT-LLM; Blackwell"),
        new(new("mxfp8", new MxFp8(), new MxFp8Activation()), [],
            "E4M3 weights and activations in blocks of 32 with powers of two", "vLLM"),
    ];

    /// <summary>Schemes to measure with only: no runtime reads them and no layout writes them.</summary>
    public static IReadOnlyList<SchemeEntry> EvaluationOnly { get; } =
    [
        new(new("int3", new IntGroup(3), null), [], "INT3 weights in groups of 128", "evaluation here"),
        new(new("int2", new IntGroup(2, symmetric: false), null), [],
            "INT2 weights in groups of 128 with zero points", "evaluation here"),
        new(new("nf4", new Nf4(ScaleBlock: 256), null), [],
            "NF4 weights in groups of 64, scales as bytes", "evaluation here"),
    ];

    public static IReadOnlyList<KeyValueEntry> AllKeyValues { get; } =
    [
        new(new Fp8KeyValues(), ["kv_fp8", "fp8_kv"], "E4M3 keys and values, one scale each", "vLLM, SGLang, TensorRT-LLM"),
        new(new Fp8KeyValues(KeyValueVariant.Cast), ["kv_fp8_cast"],
            "E4M3 keys and values as they are, nothing calibrated", "vLLM, SGLang, TensorRT-LLM"),
        new(new Fp8KeyValues(KeyValueVariant.Affine), ["kv_fp8_affine"],
            "E4M3 keys and values around the mean of each channel", "this engine; runtimes ignore the means"),
        new(new NvFp4KeyValues(), ["kv_nvfp4", "nvfp4_kv"], "E2M1 keys and values in blocks of 16", "TensorRT-LLM; Blackwell"),
        new(new NvFp4KeyValues(KeyValueVariant.Cast), ["kv_nvfp4_cast"],
            "E2M1 keys and values in blocks of 16, nothing calibrated", "TensorRT-LLM; Blackwell"),
        new(new NvFp4KeyValues(KeyValueVariant.Affine), ["kv_nvfp4_affine"],
            "E2M1 keys and values, ranges around the mean of each channel", "none known"),
        new(new NvFp4KeyValues(KeyValueVariant.Rotated), ["kv_nvfp4_rotate"],
            "E2M1 keys, rotated first, and values in blocks of 16", "none known; the checkpoint does not say so"),
    ];

    /// <summary>The names of the cache formats.</summary>
    public static IEnumerable<string> KeyValueNames => AllKeyValues.Select(entry => entry.Format.Name);

    /// <summary>The scheme of this name or alias, among those for evaluation too, or null.</summary>
    public static Scheme? Find(string name) => All.Concat(EvaluationOnly)
        .FirstOrDefault(entry => Matches(name, entry.Scheme.Name, entry.Aliases))?.Scheme;

    /// <summary>The cache format of this name or alias, or null.</summary>
    public static KeyValueFormat? FindKeyValues(string name) => AllKeyValues
        .FirstOrDefault(entry => Matches(name, entry.Format.Name, entry.Aliases))?.Format;

    static bool Matches(string wanted, string name, IReadOnlyList<string> aliases) => aliases.Prepend(name)
        .Contains(wanted.Replace('-', '_'), StringComparer.OrdinalIgnoreCase);
}
