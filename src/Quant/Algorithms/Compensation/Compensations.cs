using Nibble.Quant.Planning;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>The options behind the names of the sequential algorithms.</summary>
public static class Compensations
{
    /// <exception cref="ArgumentException">The algorithm is not a sequential one.</exception>
    public static CompensationOptions Of(Algorithm algorithm) => algorithm switch
    {
        Algorithm.Gptq => CompensationOptions.Gptq,
        Algorithm.Gptaq => CompensationOptions.Gptaq,
        Algorithm.VlmPtq => CompensationOptions.VlmPtq,
        Algorithm.Best => CompensationOptions.Best,
        _ => throw new ArgumentException($"{algorithm} compensates nothing.", nameof(algorithm)),
    };
}
