using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>Activations as E4M3 under one calibrated scale, amax / 448; larger values saturate.</summary>
public sealed record Fp8PerTensor() : ActivationFormat("fp8-tensor")
{
    public override bool NeedsAmax => true;

    public override float Scale(float amax) => Amax.ForScale(amax, Float8.LargestE4M3) / Float8.LargestE4M3;

    public override void Round(Span<float> row, float scale) => Float8.RoundE4M3(row, scale);
}
