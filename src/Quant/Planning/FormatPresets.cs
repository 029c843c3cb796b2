using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;

namespace Nibble.Quant.Planning;

/// <summary>A scheme with an algorithm under one name, as ModelOpt's presets have them.</summary>
/// <param name="Aliases">Other names, those of ModelOpt 0.40 and 0.47 among them.</param>
/// <param name="Scheme">The name of the scheme.</param>
public sealed record FormatPreset(
    string Name, IReadOnlyList<string> Aliases, string Scheme, Algorithm Algorithm, AlgorithmOptions Options)
{
    /// <summary>How the range of static activation scales is found.</summary>
    public ActivationRange Range { get; init; } = ActivationRange.Max;

    /// <summary>What loads such a checkpoint, where it is not what loads the scheme: factors of inputs have to be known.</summary>
    public string? Consumers { get; init; }

    /// <summary>The same in words of a recipe: <c>int4, algorithm awq, awq clip</c>.</summary>
    public string Description => string.Join(", ", Options.Describe(Algorithm)
        .Select(option => $"{option.Name} {option.Value}").Concat(Range == ActivationRange.Max ? [] : (string[])[$"range {Range}"]).Prepend($"algorithm {Algorithm.Entry().Name}").Prepend(Scheme));
}

/// <summary>Format names that choose an algorithm too.</summary>
public static class FormatPresets
{
    const string Factors = "TensorRT-LLM";

    static readonly AlgorithmOptions Default = AlgorithmOptions.Default;

    public static IReadOnlyList<FormatPreset> All { get; } =
    [
        new("int8_smoothquant", ["int8_sq"], "int8", Algorithm.SmoothQuant, Default),
        new("int8_mse", [], "int8", Algorithm.Max, Default with { Scales = ScaleChoice.Mse }),
        new("fp8_mse", [], "fp8", Algorithm.Max, Default with { Scales = ScaleChoice.Mse }),
        new("int4_awq", ["int4_awq_lite"], "int4", Algorithm.Awq, Default) { Consumers = Factors },
        new("int4_awq_clip", [], "int4", Algorithm.Awq, Default with { Awq = AwqMode.Clip }),
        new("int4_awq_full", [], "int4", Algorithm.Awq, Default with { Awq = AwqMode.Full }) { Consumers = Factors },
        new("int4_gptq", [], "int4", Algorithm.Gptq, Default),
        new("int4_mse", [], "int4", Algorithm.Max, Default with { Scales = ScaleChoice.Mse }),
        new("w4a8_awq", ["w4a8_awq_beta"], "w4a8", Algorithm.Awq, Default) { Consumers = Factors },
        new("nvfp4_awq", ["nvfp4_awq_lite"], "nvfp4", Algorithm.Awq, Default) { Consumers = Factors },
        new("nvfp4_awq_clip", [], "nvfp4", Algorithm.Awq, Default with { Awq = AwqMode.Clip }),
        new("nvfp4_awq_full", [], "nvfp4", Algorithm.Awq, Default with { Awq = AwqMode.Full }) { Consumers = Factors },
        new("nvfp4_svdquant", [], "nvfp4", Algorithm.SvdQuant, Default) { Consumers = "this engine" },
        new("nvfp4_gptq", [], "nvfp4", Algorithm.Gptq, Default),
        new("nvfp4_sweep", ["nvfp4_w4a4_weight_mse_fp8_sweep", "nvfp4_mse"], "nvfp4", Algorithm.Max,
            Default with { Scales = ScaleChoice.Sweep }),
        new("nvfp4_four_over_six", [], "nvfp4", Algorithm.Max, Default with { Scales = ScaleChoice.FourOverSix }),
        new("nvfp4_local_hessian", ["nvfp4_w4a4_weight_local_hessian"], "nvfp4", Algorithm.Max,
            Default with { Scales = ScaleChoice.LocalHessian }),
        new("nvfp4_act_headroom", [], "nvfp4", Algorithm.Max, Default) { Range = new ActivationRange(RangeMethod.Headroom) },
    ];

    /// <summary>The preset of this name or alias, or null; case, and <c>-</c> for <c>_</c>, do not matter.</summary>
    public static FormatPreset? Find(string name) => All.FirstOrDefault(preset => preset.Aliases.Prepend(preset.Name)
        .Contains(name.Replace('-', '_'), StringComparer.OrdinalIgnoreCase));

    /// <summary>The scheme behind a preset.</summary>
    public static Scheme SchemeOf(FormatPreset preset) => Schemes.Find(preset.Scheme)!;
}
