using Nibble.Quant.Formats;

namespace Nibble.Quant.Planning;

/// <summary>How much work the result is worth.</summary>
public enum Quality
{
    /// <summary>Largest magnitudes: one pass at most.</summary>
    Fast,

    /// <summary>What moves outliers before rounding to nearest: one pass and a search.</summary>
    Balanced,

    /// <summary>The most thorough algorithm.</summary>
    Best,
}

/// <summary>Which algorithm a quality stands for.</summary>
public static class Qualities
{
    /// <summary>What <see cref="Quality.Balanced"/> tries, in this order, until one suits a scheme of the recipe.</summary>
    static readonly Algorithm[] Balanced = [Algorithm.Awq, Algorithm.SmoothQuant];

    /// <param name="schemes">Of the rules of a recipe.</param>
    public static Algorithm Choose(Quality quality, IReadOnlyList<Scheme> schemes) => quality switch
    {
        Quality.Best => Algorithm.Best,
        Quality.Balanced => Balanced.Cast<Algorithm?>().FirstOrDefault(algorithm =>
            schemes.Any(scheme => Suitability.Suits(new Recipe([], algorithm!.Value), scheme))) ?? Algorithm.Max,
        _ => Algorithm.Max,
    };
}
