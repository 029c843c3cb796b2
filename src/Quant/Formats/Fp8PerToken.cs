using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>Activations as E4M3 under a scale of each token, amax of the token / 448, found at run time.</summary>
public sealed record Fp8PerToken() : ActivationFormat("fp8-token")
{
    /// <summary>Below this (2^-24) a token counts as zero: the reciprocal of its scale would soon overflow.</summary>
    const float Nothing = 5.9604645e-8f;

    public override bool NeedsAmax => false;

    public override float Scale(float amax) => 1;

    public override void Round(Span<float> row, float scale)
    {
        var amax = Amax.Of(row);
        if (amax <= Nothing)
            row.Clear();
        else
            Float8.RoundE4M3(row, amax / Float8.LargestE4M3);
    }
}
