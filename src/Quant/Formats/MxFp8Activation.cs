using System.Runtime.CompilerServices;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>Activations as MXFP8: E4M3 under a power of two per 32 inputs, found at run time.</summary>
public sealed record MxFp8Activation() : ActivationFormat("mxfp8-b32")
{
    public override bool NeedsAmax => false;

    public override float Scale(float amax) => 1;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Round(Span<float> row, float scale)
    {
        for (var at = 0; at < row.Length; at += SharedExponent.Block)
        {
            var block = row[at..Math.Min(at + SharedExponent.Block, row.Length)];
            var power = Float8.FromE8M0(SharedExponent.OfActivations(Amax.Of(block), Float8.LargestE4M3));
            Float8.RoundE4M3(block, power);
        }
    }
}
