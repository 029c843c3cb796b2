using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// Keys and values as NVFP4 in blocks of 16 along the head. The stored scale is amax / 448; the arithmetic is that of NVFP4
/// activations, whose tensor scale amax / (6·448) is a sixth of it. Stored biases do not enter the arithmetic in ModelOpt 0.47.
/// </summary>
public sealed record NvFp4KeyValues(KeyValueVariant Variant = KeyValueVariant.Calibrated)
    : KeyValueFormat(NameOf("nvfp4", Variant), Variant)
{
    public override float Scale(float amax) =>
        NeedsAmax ? Amax.ForScale(amax, Float8.LargestE4M3) / Float8.LargestE4M3 : 1;

    public override void Round(Span<float> head, float scale) =>
        NvFp4Activation.RoundBlocks(head, scale * Float8.LargestE4M3 / NvFp4.Range);
}
