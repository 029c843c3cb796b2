using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>Keys and values as E4M3 under one scale each, amax / 448; larger values saturate.</summary>
public sealed record Fp8KeyValues(KeyValueVariant Variant = KeyValueVariant.Calibrated)
    : KeyValueFormat(NameOf("fp8", Variant), Variant)
{
    public override bool SubtractsBias => Centred;

    public override float Scale(float amax) =>
        NeedsAmax ? Amax.ForScale(amax, Float8.LargestE4M3) / Float8.LargestE4M3 : 1;

    public override void Round(Span<float> head, float scale) => Float8.RoundE4M3(head, scale);
}
