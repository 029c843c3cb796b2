using Nibble.Tensors.Ops;

namespace Nibble.Models.Generation;

/// <summary>How an answer is chosen and when it ends.</summary>
public sealed record GenerationOptions
{
    /// <summary>At most this many tokens.</summary>
    public int MaxNewTokens { get; init; } = 256;

    /// <summary>The answer ends with the first of these, which is still part of it.</summary>
    public IReadOnlyCollection<int> StopTokens { get; init; } = [];

    /// <summary>Null: always the most likely token, of equal ones the first.</summary>
    public SamplingOptions? Sampling { get; init; }

    /// <summary>The same seed gives the same answer.</summary>
    public ulong Seed { get; init; }
}
