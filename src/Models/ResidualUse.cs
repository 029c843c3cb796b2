namespace Nibble.Models;

/// <summary>
/// Where a stage meets the residual stream: all that has to follow when the stream gets another basis. Modules and tensors by full name.
/// </summary>
public sealed record ResidualUse
{
    /// <summary>Norms of the stream, y = x / rms(x) · weight, each with all that is multiplied with its output.</summary>
    public IReadOnlyList<NormReaders> Norms { get; init; } = [];

    /// <summary>Linear modules whose outputs are added to the stream or become rows of it.</summary>
    public IReadOnlyList<string> Writers { get; init; } = [];

    /// <summary>A tensor whose rows begin the stream: the embedding table; null where there is none.</summary>
    public string? Table { get; init; }

    /// <summary>The table, where the reader of the only norm is a head that has no matrix of its own; else null.</summary>
    public string? TiedTable { get; init; }

    /// <summary>The way of the values through attention; null where there is none.</summary>
    public ValuePath? Values { get; init; }
}

/// <summary>A norm of the residual stream.</summary>
/// <param name="Norm">Its weight is the tensor <c>.weight</c> below this name.</param>
/// <param name="Readers">Linear modules, and routers of experts, which are none.</param>
public sealed record NormReaders(string Norm, IReadOnlyList<string> Readers);

/// <summary>Values of attention, head by head: mixed over tokens and not changed otherwise between two linear modules.</summary>
/// <param name="Producer">Its outputs are heads of <paramref name="HeadWidth"/>.</param>
/// <param name="Consumer">Its inputs are as many heads as there are queries.</param>
public sealed record ValuePath(string Producer, string Consumer, int HeadWidth);
