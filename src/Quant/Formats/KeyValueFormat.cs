namespace Nibble.Quant.Formats;

/// <summary>How the scale of cached keys and values comes about.</summary>
public enum KeyValueVariant
{
    /// <summary>From the largest magnitude calibration saw.</summary>
    Calibrated,

    /// <summary>It is 1: nothing is calibrated, nothing stored.</summary>
    Cast,

    /// <summary>From the largest magnitude once the mean of each channel is taken off; the means are stored as biases.</summary>
    Affine,

    /// <summary>From the largest magnitude of keys that were rotated (<see cref="Tensors.Ops.Hadamard"/>); values are not.</summary>
    Rotated,
}

/// <summary>How cached keys and values are stored.</summary>
/// <param name="Name">The name users give, like <c>fp8</c>.</param>
public abstract record KeyValueFormat(string Name, KeyValueVariant Variant = KeyValueVariant.Calibrated)
{
    /// <summary>Whether calibration must supply the largest magnitudes; then scales are stored.</summary>
    public bool NeedsAmax => Variant != KeyValueVariant.Cast;

    /// <summary>Whether magnitudes are those around the mean of each channel, and the means are stored as biases.</summary>
    public bool Centred => Variant == KeyValueVariant.Affine;

    /// <summary>Whether keys are rotated before they are rounded, and so before their magnitudes are taken.</summary>
    public bool Rotates => Variant == KeyValueVariant.Rotated;

    /// <summary>Whether what is rounded is what is left without the bias; else biases are stored but not used.</summary>
    public virtual bool SubtractsBias => false;

    /// <summary>The stored scale (<c>k_scale</c>, <c>v_scale</c>) for this largest magnitude; 1 for a constant one.</summary>
    public abstract float Scale(float amax);

    /// <summary>Rounds one head's vector in place.</summary>
    /// <param name="head">[d].</param>
    /// <param name="scale">What <see cref="Scale"/> gave.</param>
    public abstract void Round(Span<float> head, float scale);

    public sealed override string ToString() => Name;

    /// <summary>The name a variant of a format has.</summary>
    private protected static string NameOf(string name, KeyValueVariant variant) => variant switch
    {
        KeyValueVariant.Calibrated => name,
        KeyValueVariant.Cast => $"{name}_cast",
        KeyValueVariant.Affine => $"{name}_affine",
        _ => $"{name}_rotate",
    };
}
