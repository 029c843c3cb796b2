using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>
/// The rotary angles of a network. All blocks of a pass ask for the same ones, so the last answer is kept; passes that run at the
/// same time cost each other nothing but computing it again.
/// </summary>
/// <param name="sections">Frequencies per position axis, arXiv:2409.12191 section 2.1; null: one axis.</param>
sealed class RopeCache(RopeParameters parameters, IReadOnlyList<int>? sections)
{
    readonly Recent<int[][], Angles> angles = new(positions => Compute(parameters, sections, positions));

    /// <summary>cos and sin, each [T, rotated / 2]. Keep the result alive while they are used.</summary>
    /// <param name="positions">[1, T] or [3, T]; the same array gives the same angles.</param>
    public Angles Of(int[][] positions) => angles.Of(positions);

    /// <summary>Whether positions below <paramref name="shorter"/> turn alike in sequences of both lengths.</summary>
    public bool Alike(int shorter, int longer)
    {
        var (before, scalingBefore) = Rope.Frequencies(parameters, shorter);
        var (after, scalingAfter) = Rope.Frequencies(parameters, longer);
        return scalingBefore == scalingAfter && before.AsSpan().SequenceEqual(after);
    }

    static Angles Compute(RopeParameters parameters, IReadOnlyList<int>? sections, int[][] positions)
    {
        // Dynamic and longrope choose by the length of the sequence: its highest position, plus one.
        var (inverse, scaling) = Rope.Frequencies(parameters, positions.Max(axis => axis.Max()) + 1);
        var (cos, sin) = sections is null
            ? Rope.Angles(inverse, scaling, positions[0])
            : Rope.MultimodalAngles(inverse, scaling, positions, [.. sections], false);
        return new Angles(cos, sin);
    }
}

/// <summary>cos and sin of the angles of a pass, each [T, rotated / 2].</summary>
sealed record Angles(Tensor Cos, Tensor Sin)
{
    /// <summary>Turns the heads of x [T, H, d] in place.</summary>
    public void Rotate(Tensor x)
    {
        Rope.Apply(x, Cos, Sin);
        GC.KeepAlive(this);
    }

    /// <summary>Turns the gradient of turned heads back, in place.</summary>
    public void RotateBack(Tensor d)
    {
        RopeGradient.Apply(d, Cos, Sin);
        GC.KeepAlive(this);
    }
}
