namespace Nibble.Quant.Formats;

/// <summary>Format of weights and of activations, under the name users give.</summary>
/// <param name="Activation">Null where activations stay as they are.</param>
public sealed record Scheme(string Name, WeightFormat Weight, ActivationFormat? Activation)
{
    /// <summary>Whether a run must see data.</summary>
    public bool NeedsData => Activation is { NeedsAmax: true };

    public override string ToString() => Name;
}
