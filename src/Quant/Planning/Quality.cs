using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Formats;

namespace Nibble.Quant.Planning;

/// <summary>How much work the result is worth.</summary>
public enum Quality
{
    /// <summary>Largest magnitudes: one pass at most.</summary>
    Fast,

    /// <summary>
    /// GPTQ below 8 bits where it knows all formats, SmoothQuant for INT8 with INT8, else largest magnitudes.
    /// </summary>
    Balanced,

    /// <summary>The most thorough algorithm that knows all formats.</summary>
    Best,
}

/// <summary>Which algorithm a quality stands for.</summary>
public static class Qualities
{
    /// <summary>
    /// For fewer than 8 bits. On shapes-vlm the divergence of answers and of text from the original is 0.00023 and 0.00134 with GPTQ on
    /// INT4, 0.00080 and 0.00160 with AWQ; on NVFP4 0.0032 and 0.0029, and 0.0012 and 0.0035. Neither wins everywhere, but what GPTQ
    /// makes loads wherever the format does, while few runtimes read the factors of AWQ.
    /// </summary>
    const Algorithm OfFewBits = Algorithm.Gptq;

    /// <param name="schemes">Of the rules of a recipe.</param>
    public static Algorithm Choose(Quality quality, IReadOnlyList<Scheme> schemes) => quality switch
    {
        Quality.Best when schemes.All(scheme => Compensation.Supports(scheme.Weight)) => Algorithm.Best,
        Quality.Balanced when schemes.Any(scheme => scheme.Weight.CodeBits < 8)
            && schemes.All(scheme => Compensation.Supports(scheme.Weight)) => OfFewBits,
        Quality.Balanced when schemes.Any(scheme => Suitability.Suits(new Recipe([], Algorithm.SmoothQuant), scheme)) => Algorithm.SmoothQuant,
        _ => Algorithm.Max,
    };
}
