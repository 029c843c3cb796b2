namespace Nibble.Quant.Formats;

/// <summary>Format of weights and of activations, under the name users give.</summary>
/// <param name="Activation">Null where activations stay as they are.</param>
public sealed record Scheme(string Name, WeightFormat Weight, ActivationFormat? Activation)
{
    /// <summary>
    /// Whether inputs were scaled channel by channel before the weights were rounded. Where the factors of a module's inputs were not
    /// folded into what comes before it, the checkpoint holds them as <c>pre_quant_scale</c>.
    /// </summary>
    public bool PreQuantScale { get; init; }

    /// <summary>The rank of what is kept beside the codes of a matrix; 0 where nothing is.</summary>
    public int LowRank { get; init; }

    /// <summary>Whether a run must see data.</summary>
    public bool NeedsData => Activation is { NeedsAmax: true };

    public override string ToString() => Name;
}
