namespace Nibble.Quant.Planning;

/// <summary>What is done to the basis of a language model's weights before anything is learned or rounded.</summary>
public enum Rotation
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Residual stream and values of attention are turned by Hadamard matrices: <see cref="Nibble.Quant.Algorithms.Rotation.RotatedSource"/>.</summary>
    Hadamard,
}

/// <summary>A rotation as a listing shows it.</summary>
/// <param name="Name">The name users give.</param>
/// <param name="Description">What it does, in one line.</param>
/// <param name="Source">Papers.</param>
/// <param name="Cost">Beside reading the weights.</param>
/// <param name="WhenToUse">One line.</param>
public sealed record RotationEntry(Rotation Rotation, string Name, string Description, string Source, string Cost, string WhenToUse);

/// <summary>The rotations by name.</summary>
public static class Rotations
{
    /// <summary>All but <see cref="Rotation.None"/>.</summary>
    public static IReadOnlyList<RotationEntry> All { get; } =
    [
        new(Rotation.Hadamard, Words.Of(Rotation.Hadamard),
            "Turns residual stream and attention values so that no channel stands out; folded into the weights, any runtime loads it.",
            "Ashkboos et al., arXiv:2404.00456; Liu et al., arXiv:2405.16406 (R1 and R2)", "m·n·log n flops",
            "any algorithm; models with outlier channels, inputs of few bits"),
    ];
}
