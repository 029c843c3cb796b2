namespace Nibble.Quant.Formats;

/// <summary>How the inputs of a linear layer are rounded at run time. The engine simulates it: quantize, then dequantize.</summary>
/// <param name="Name">The name in reports, like <c>fp8-tensor</c>.</param>
public abstract record ActivationFormat(string Name)
{
    /// <summary>Whether calibration must supply the largest magnitude.</summary>
    public abstract bool NeedsAmax { get; }

    /// <summary>The stored scale (<c>input_scale</c>) for this largest magnitude.</summary>
    public abstract float Scale(float amax);

    /// <summary>Rounds one token's values in place.</summary>
    /// <param name="row">[in].</param>
    /// <param name="scale">What <see cref="Scale"/> gave; ignored by dynamic formats.</param>
    public abstract void Round(Span<float> row, float scale);

    public sealed override string ToString() => Name;
}

/// <summary>How cached keys and values are stored.</summary>
/// <param name="Name">The name users give, like <c>fp8</c>.</param>
public abstract record KeyValueFormat(string Name)
{
    /// <summary>The stored scale (<c>k_scale</c>, <c>v_scale</c>) for this largest magnitude.</summary>
    public abstract float Scale(float amax);

    /// <summary>Rounds one head's vector in place.</summary>
    public abstract void Round(Span<float> head, float scale);

    public sealed override string ToString() => Name;
}

/// <summary>Format of weights and of activations, under the name users give.</summary>
/// <param name="Activation">Null where activations stay as they are.</param>
public sealed record Scheme(string Name, WeightFormat Weight, ActivationFormat? Activation)
{
    /// <summary>Whether a run must see data.</summary>
    public bool NeedsData => Activation is { NeedsAmax: true };

    public override string ToString() => Name;
}
