using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Formats;

namespace Nibble.Quant.Planning;

/// <summary>Which algorithms and settings mean something for which schemes.</summary>
static class Suitability
{
    /// <summary>
    /// Whether an algorithm treats modules of this scheme in its own way. Where it does not, and other modules of the recipe are
    /// suited, they are quantized by largest magnitudes.
    /// </summary>
    public static bool Suits(Recipe recipe, Scheme scheme) => recipe.Algorithm switch
    {
        Algorithm.SmoothQuant => scheme is { Weight: Int8PerChannel, Activation: Int8PerTensor },
        Algorithm.Awq => scheme.Weight is Int4 or Int4Fp8 or IntGroup || IsNvFp4(scheme),
        Algorithm.SvdQuant => IsNvFp4(scheme),
        Algorithm.Max => Suits(recipe.Options.Scales, scheme.Weight),
        Algorithm.Rtn => true,
        _ => Compensation.Supports(scheme.Weight),
    };

    /// <summary>Whether a choice of scales exists for weights of this format.</summary>
    public static bool Suits(ScaleChoice scales, WeightFormat weight) => scales switch
    {
        ScaleChoice.Standard => true,
        ScaleChoice.Mse => HasRanges(weight),
        ScaleChoice.Importance => HasRanges(weight) || IsNvFp4(weight),
        _ => IsNvFp4(weight),
    };

    /// <summary>What is wrong with the settings of a recipe for these modules.</summary>
    public static IEnumerable<string> Problems(Recipe recipe, IReadOnlyList<Scheme> schemes)
    {
        var (algorithm, options) = (recipe.Algorithm, recipe.Options);
        var heeded = options.Describe(algorithm).Select(option => option.Name).ToHashSet();
        foreach (var (name, value) in Enum.GetValues<Algorithm>().SelectMany(options.Describe).Distinct())
            if (!heeded.Contains(name))
                yield return $"{name} {value} means nothing to the algorithm {algorithm.Entry().Name}.";
        if (options.SmoothQuantAlpha is { } alpha && !(alpha is >= 0 and <= 1))
            yield return $"smoothquant_alpha {alpha}: a number from 0 to 1, or auto, expected.";
        if (!(options.AwqStep is > 0.001 and <= 1))
            yield return $"awq_step {options.AwqStep}: a number above 0.001 and at most 1 expected.";
        if (options.Rank <= 0)
            yield return $"rank {options.Rank}: at least 1 expected.";
        if (schemes.Count > 0 && !(algorithm.IsSequential() ? schemes.All(Suited) : schemes.Any(Suited)))
            yield return $"{Wanted(recipe)}; this recipe has {string.Join(", ", schemes.Select(scheme => scheme.Name).Distinct())}.";

        bool Suited(Scheme scheme) => Suits(recipe, scheme);
    }

    static string Wanted(Recipe recipe) => recipe.Algorithm switch
    {
        Algorithm.SmoothQuant => "The algorithm smoothquant needs INT8 weights and activations (int8)",
        Algorithm.Awq => "The algorithm awq needs weights that are stored with factors of inputs (int4, w4a8, nvfp4)",
        Algorithm.SvdQuant => "The algorithm svdquant needs nvfp4",
        var algorithm when algorithm.IsSequential() =>
            $"The algorithm {algorithm.Entry().Name} needs a scale for one row or less (not fp8_pb_wo)",
        _ when recipe.Options.Scales is ScaleChoice.Mse => "scales mse needs integers or FP8 (int4, int8, int8_wo, fp8, fp8_pc_pt)",
        _ when recipe.Options.Scales is ScaleChoice.Importance =>
            "scales importance needs integers, FP8 or NVFP4 (int4, int8, int8_wo, fp8, fp8_pc_pt, nvfp4, w4a16_nvfp4)",
        _ => $"scales {Words.Of(recipe.Options.Scales)} needs NVFP4 (nvfp4, w4a16_nvfp4)",
    };

    static bool IsNvFp4(Scheme scheme) => IsNvFp4(scheme.Weight) && scheme.Activation is NvFp4Activation;

    static bool IsNvFp4(WeightFormat weight) => weight is NvFp4 { Group: NvFp4.BlockSize, InFp8: false };

    static bool HasRanges(WeightFormat weight) =>
        weight is Int4 or Int8PerChannel or Fp8 or Fp8PerChannel or IntGroup { Symmetric: true };
}
