namespace Nibble.Quant.Formats;

/// <summary>How cached keys and values are stored.</summary>
/// <param name="Name">The name users give, like <c>fp8</c>.</param>
public abstract record KeyValueFormat(string Name)
{
    /// <summary>The stored scale (<c>k_scale</c>, <c>v_scale</c>) for this largest magnitude.</summary>
    public abstract float Scale(float amax);

    /// <summary>Rounds one head's vector in place.</summary>
    /// <param name="head">[d].</param>
    /// <param name="scale">What <see cref="Scale"/> gave.</param>
    public abstract void Round(Span<float> head, float scale);

    public sealed override string ToString() => Name;
}
