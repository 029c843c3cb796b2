namespace Nibble.Tensors.Ops;

/// <summary>Back through <see cref="Rope.Apply"/>: a rotation's transpose turns the other way.</summary>
public static class RopeGradient
{
    /// <summary>Turns the gradient of every rotated head into that of the head before, in place.</summary>
    /// <param name="d">[T, H, d] F32.</param>
    /// <param name="cos">[T, r/2] F32.</param>
    /// <param name="sin">[T, r/2] F32.</param>
    /// <param name="neighbouringPairs">Pairs are (2i, 2i + 1) instead of (i, i + r/2).</param>
    /// <exception cref="ShapeException">The shapes do not fit, or a tensor is not F32.</exception>
    public static void Apply(Tensor d, Tensor cos, Tensor sin, bool neighbouringPairs = false)
    {
        Expect.Type(sin, DType.F32);
        using var back = Tensor.Empty(sin.Shape);
        Elementwise.Scale(sin, -1, back);
        Rope.Apply(d, cos, back, neighbouringPairs);
    }
}
