namespace Nibble.Quant.Formats;

/// <summary>How the inputs of a linear layer are rounded at run time, simulated: quantize, then dequantize.</summary>
/// <param name="Name">The name in reports, like <c>fp8-tensor</c>.</param>
public abstract record ActivationFormat(string Name)
{
    /// <summary>Whether calibration must supply the largest magnitude.</summary>
    public abstract bool NeedsAmax { get; }

    /// <summary>The stored scale (<c>input_scale</c>) for this largest magnitude; 1 for formats that store none.</summary>
    public abstract float Scale(float amax);

    /// <summary>Rounds one token's values in place.</summary>
    /// <param name="row">[in].</param>
    /// <param name="scale">What <see cref="Scale"/> gave; ignored by dynamic formats.</param>
    public abstract void Round(Span<float> row, float scale);

    public sealed override string ToString() => Name;
}
