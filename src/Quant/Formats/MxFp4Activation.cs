using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>Activations as MXFP4: E2M1, ties to even, under a power of two per 32 inputs, found at run time.</summary>
public sealed record MxFp4Activation() : ActivationFormat("mxfp4-b32")
{
    public override bool NeedsAmax => false;

    public override float Scale(float amax) => 1;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Round(Span<float> row, float scale)
    {
        for (var at = 0; at < row.Length; at += SharedExponent.Block)
        {
            var block = row[at..Math.Min(at + SharedExponent.Block, row.Length)];
            var power = Float8.FromE8M0(SharedExponent.OfActivations(Amax.Of(block), Float4.LargestE2M1));
            RoundBlock(block, power);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void RoundBlock(Span<float> block, float power)
    {
        ref var target = ref MemoryMarshal.GetReference(block);
        var powers = Vector512.Create(power);
        var i = 0;
        for (; i <= block.Length - 16; i += 16)
        {
            var codes = Float4.ToE2M1(Vector512.LoadUnsafe(ref target, (nuint)i) / powers);
            (Float4.FromE2M1(codes) * powers).StoreUnsafe(ref target, (nuint)i);
        }
        for (; i < block.Length; i++)
            block[i] = Float4.FromE2M1(Float4.ToE2M1(block[i] / power)) * power;
    }
}
