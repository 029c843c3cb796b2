namespace Nibble.Tensors.Ops;

/// <summary>Chooses tokens. The same options, seed and logits give the same tokens.</summary>
/// <param name="options">What is done to the logits first.</param>
/// <param name="seed">Any number; each starts another sequence of draws.</param>
/// <exception cref="ArgumentOutOfRangeException">An option has no meaning.</exception>
public sealed class Sampler(SamplingOptions options, ulong seed)
{
    readonly SamplingOptions options = options.Checked();
    double[] work = [];
    ulong state = seed;

    /// <param name="logits">[V], the last position's.</param>
    /// <param name="context">All tokens so far, prompt included; for the options that look at it.</param>
    /// <returns>A token id.</returns>
    /// <exception cref="NotFiniteNumberException">A logit is NaN or +∞, or no token is left.</exception>
    /// <exception cref="ShapeException">A token of the context is none of the logits, or there are no logits.</exception>
    public int Next(ReadOnlySpan<float> logits, ReadOnlySpan<int> context)
    {
        if (logits.IsEmpty)
            throw new ShapeException("Sampler: logits must have at least one element; got none.");
        if (work.Length != logits.Length)
            work = new double[logits.Length];
        TensorPrimitives.ConvertTruncating<float, double>(logits, work);
        Sampling.Apply(options, work, context);

        if (!options.DoSample || options.Temperature == 0)
            return MostProbable();
        var probabilities = Sampling.Probabilities(work);
        return Draw(probabilities, Uniform());
    }

    /// <summary>The first token at which the cumulative probability exceeds <paramref name="share"/>.</summary>
    internal static int Draw(ReadOnlySpan<double> probabilities, double share)
    {
        var sum = 0.0;
        var token = -1;
        for (var i = 0; i < probabilities.Length && sum <= share; i++)
            if (probabilities[i] > 0)
            {
                sum += probabilities[i];
                token = i;
            }
        return token;
    }

    int MostProbable()
    {
        var best = 0;
        for (var i = 0; i < work.Length; i++)
            if (double.IsNaN(work[i]))
                throw new NotFiniteNumberException($"Sampler: logit {i} is NaN.", work[i]);
            else if (work[i] > work[best])
                best = i;
        return best;
    }

    // SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014). Its upper 53 bits.
    double Uniform()
    {
        state += 0x9E3779B97F4A7C15;
        var z = state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        z ^= z >> 31;
        return (z >> 11) * (1.0 / (1UL << 53));
    }
}
