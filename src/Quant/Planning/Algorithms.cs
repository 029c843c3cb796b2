using Nibble.Quant.Algorithms.Compensation;

namespace Nibble.Quant.Planning;

/// <summary>How the numbers of a format are chosen.</summary>
public enum Algorithm
{
    /// <summary>Largest magnitudes from calibration; fused modules share what runtimes want shared.</summary>
    Max,

    /// <summary>Round to nearest: every matrix by itself, nothing shared.</summary>
    Rtn,

    /// <summary>Channels of large inputs are divided, and the weights multiplied, before 8-bit rounding.</summary>
    SmoothQuant,

    /// <summary>Channels are scaled by the power of their inputs that gives the least output error.</summary>
    Awq,

    /// <summary>AWQ, then a low-rank part of the weights stays unquantized beside the rest.</summary>
    SvdQuant,

    /// <summary>Weights still to be rounded make up for the error of those that are.</summary>
    Gptq,

    /// <summary>GPTQ that also makes up for part of the error of earlier modules.</summary>
    Gptaq,

    /// <summary>GPTAQ with a closed-form correction and scales weighted by modality.</summary>
    VlmPtq,

    /// <summary>The exact asymmetric optimum, cross-validated, with weighted scales and coordinate descent.</summary>
    Best,
}

/// <summary>An algorithm as a listing shows it.</summary>
/// <param name="Name">The name users give, like <c>vlm-ptq</c>.</param>
/// <param name="Description">What it does, in one line.</param>
/// <param name="Source">Paper and equation.</param>
/// <param name="Cost">Beside one forward pass of the calibration data; n inputs, m outputs of a matrix.</param>
/// <param name="WhenToUse">One line.</param>
/// <param name="NeedsData">Whether it needs data even where the format does not.</param>
public sealed record AlgorithmEntry(
    Algorithm Algorithm, string Name, string Description, string Source, string Cost, string WhenToUse, bool NeedsData);

/// <summary>The algorithms by name.</summary>
public static class Algorithms
{
    /// <summary>From the cheapest to the most thorough.</summary>
    public static IReadOnlyList<AlgorithmEntry> All { get; } =
    [
        new(Algorithm.Max, "max", "Scales from the largest magnitudes; fused modules share what runtimes want shared.",
            "NVIDIA ModelOpt", "none", "8-bit formats, and anything that must equal ModelOpt", false),
        new(Algorithm.Rtn, "rtn", "Every matrix rounded to nearest by itself, nothing shared.",
            "–", "none", "a baseline to compare with", false),
        new(Algorithm.SmoothQuant, "smoothquant", "Moves the range of outlier channels from the inputs into the weights.",
            "Xiao et al., arXiv:2211.10438, eq. 4", "none", "INT8 weights and activations", true),
        new(Algorithm.Awq, "awq", "Scales channels by the power of their mean input that gives the least output error.",
            "Lin et al., arXiv:2306.00978, sec. 3.2", "22 · m·n² flops, n² floats", "4-bit weights for TensorRT-LLM", true),
        new(Algorithm.SvdQuant, "svdquant", "AWQ, then keeps the largest singular directions unquantized beside the rest.",
            "Li et al., arXiv:2411.05007", "AWQ and an SVD; 32·(m+n) more weights", "4-bit weights and activations", true),
        new(Algorithm.Gptq, "gptq", "Weights still to be rounded make up for the error of those that are; scales of least error.",
            "Frantar et al., arXiv:2210.17323, alg. 1", "two forward passes, T·n² + n³ + m·n² flops, n² floats",
            "4 bits and below with plain storage", true),
        new(Algorithm.Gptaq, "gptaq", "GPTQ that makes up for a quarter of the error of earlier modules too.",
            "Li et al., arXiv:2504.02692, eq. 16", "GPTQ and 2·T·n² + 4·n³ flops, 2·n² floats", "to compare with the paper", true),
        new(Algorithm.VlmPtq, "vlm-ptq", "GPTAQ with the closed-form correction C and scales weighted by modality.",
            "Deng and Huang, CVPR 2026", "GPTAQ and 6 scale searches, 4·n² floats", "to compare with the paper", true),
        new(Algorithm.Best, "best",
            "The exact asymmetric optimum with cross-validated α, modalities balanced, act-order, coordinate descent, the better of two searches of scales.",
            "this project, docs/algorithms.md", "GPTQ and 2·T·n² + 2·n³ + 60·m·n² flops, 4·n² floats",
            "4 bits and below when the result matters", true),
    ];

    /// <summary>The algorithm of this name, or null.</summary>
    public static AlgorithmEntry? Find(string name) =>
        All.FirstOrDefault(entry => entry.Name.Equals(name.Replace('_', '-'), StringComparison.OrdinalIgnoreCase));

    /// <summary>Name and description.</summary>
    public static AlgorithmEntry Entry(this Algorithm algorithm) => All.First(entry => entry.Algorithm == algorithm);

    /// <summary>Whether modules are quantized one after another, each on the inputs that the ones before it leave.</summary>
    public static bool IsSequential(this Algorithm algorithm) =>
        algorithm is Algorithm.Gptq or Algorithm.Gptaq or Algorithm.VlmPtq or Algorithm.Best;

    /// <summary>The options behind the name of a sequential algorithm.</summary>
    /// <exception cref="ArgumentException">It is not one.</exception>
    public static CompensationOptions Compensation(this Algorithm algorithm) => algorithm switch
    {
        Algorithm.Gptq => CompensationOptions.Gptq,
        Algorithm.Gptaq => CompensationOptions.Gptaq,
        Algorithm.VlmPtq => CompensationOptions.VlmPtq,
        Algorithm.Best => CompensationOptions.Best,
        _ => throw new ArgumentException($"{algorithm} compensates nothing.", nameof(algorithm)),
    };
}
