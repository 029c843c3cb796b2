using System.Globalization;

namespace Nibble.Quant.Planning;

/// <summary>Which halves of AWQ are carried out.</summary>
public enum AwqMode
{
    /// <summary>Channels are scaled.</summary>
    Lite,

    /// <summary>Ranges are clipped.</summary>
    Clip,

    /// <summary>Channels are scaled, then ranges clipped.</summary>
    Full,
}

/// <summary>How <see cref="Algorithm.Max"/> chooses the scales of weights.</summary>
public enum ScaleChoice
{
    /// <summary>By the largest magnitudes.</summary>
    Standard,

    /// <summary>Largest magnitudes times the factor of least squared error: integers and FP8.</summary>
    Mse,

    /// <summary>Of every block the E4M3 scale of least squared error: NVFP4.</summary>
    Sweep,

    /// <summary>The largest magnitude of every block is stored as 6 or as 4: NVFP4.</summary>
    FourOverSix,

    /// <summary>Of every block the E4M3 scale of least output error, by the second moments of its inputs: NVFP4.</summary>
    LocalHessian,

    /// <summary>The scale of least squared error, each channel weighed by the mean square of its inputs.</summary>
    Importance,
}

/// <summary>Settings of the algorithms; each one ignores those of the others.</summary>
/// <param name="Awq">Which halves of AWQ.</param>
/// <param name="AwqStep">Between two α of the AWQ search, from 0 to 1.</param>
/// <param name="SmoothQuantAlpha">How much of the range goes into the weights; null: searched for every group of modules.</param>
/// <param name="Rank">Of the part of a matrix SVDQuant leaves unquantized.</param>
/// <param name="Scales">How largest-magnitude quantization chooses the scales of weights.</param>
public sealed record AlgorithmOptions(
    AwqMode Awq = AwqMode.Lite, double AwqStep = 0.1, float? SmoothQuantAlpha = 1, int Rank = 32,
    ScaleChoice Scales = ScaleChoice.Standard)
{
    public static AlgorithmOptions Default { get; } = new();

    /// <summary>The settings an algorithm heeds and that differ from the default, as a recipe names them.</summary>
    public IEnumerable<(string Name, string Value)> Describe(Algorithm algorithm)
    {
        if (algorithm == Algorithm.Awq && Awq != Default.Awq)
            yield return ("awq", Words.Of(Awq));
        if (algorithm is Algorithm.Awq or Algorithm.SvdQuant && AwqStep != Default.AwqStep)
            yield return ("awq_step", AwqStep.ToString(CultureInfo.InvariantCulture));
        if (algorithm == Algorithm.SmoothQuant && SmoothQuantAlpha != Default.SmoothQuantAlpha)
            yield return ("smoothquant_alpha", SmoothQuantAlpha?.ToString(CultureInfo.InvariantCulture) ?? "auto");
        if (algorithm == Algorithm.SvdQuant && Rank != Default.Rank)
            yield return ("rank", Rank.ToString(CultureInfo.InvariantCulture));
        if (algorithm == Algorithm.Max && Scales != Default.Scales)
            yield return ("scales", Words.Of(Scales));
    }
}

/// <summary>What the members of an enumeration are called in recipes: <c>FourOverSix</c> is <c>four-over-six</c>.</summary>
public static class Words
{
    public static string Of<T>(T value) where T : struct, Enum =>
        string.Concat(value.ToString().Select((letter, at) => at > 0 && char.IsUpper(letter) ? "-" + letter : letter.ToString()))
            .ToLowerInvariant();

    public static IEnumerable<string> All<T>() where T : struct, Enum => Enum.GetValues<T>().Select(Of);

    /// <summary>The member of this name, <c>_</c> for <c>-</c> allowed, or null.</summary>
    public static T? Find<T>(string name) where T : struct, Enum => Enum.GetValues<T>().Cast<T?>()
        .FirstOrDefault(value => Of(value!.Value).Equals(name.Replace('_', '-'), StringComparison.OrdinalIgnoreCase));
}
