using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// Activations as NVFP4: a calibrated scale g = amax / (6·448) and a block scale per 16 inputs found at run time.
/// The arithmetic is that of ModelOpt's simulation: s = E4M3(min(block amax / (6·g), 448)) · g, and s = 1 where that is below
/// 10^-5, so blocks of tiny values become zero.
/// </summary>
public sealed record NvFp4Activation() : ActivationFormat("nvfp4-b16")
{
    const float SmallestScale = 1e-5f;

    public override bool NeedsAmax => true;

    public override float Scale(float amax) => Amax.ForScale(amax, Float4.LargestE2M1) / NvFp4.Range;

    public override void Round(Span<float> row, float scale) => RoundBlocks(row, scale);

    /// <summary>Rounds blocks of 16 in place; the last one may be shorter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void RoundBlocks(Span<float> row, float tensorScale)
    {
        for (var at = 0; at < row.Length; at += NvFp4.BlockSize)
        {
            var block = row[at..Math.Min(at + NvFp4.BlockSize, row.Length)];
            var scale = BlockScale(Amax.Of(block), tensorScale);
            if (block.Length == NvFp4.BlockSize)
                RoundWhole(block, scale);
            else
                RoundPlain(block, scale);
        }
    }

    internal static float BlockScale(float amax, float tensorScale)
    {
        var scale = Float8.FromE4M3(Float8.ToE4M3(amax / (Float4.LargestE2M1 * tensorScale))) * tensorScale;
        return scale >= SmallestScale ? scale : 1;
    }

    internal static void RoundPlain(Span<float> block, float scale)
    {
        foreach (ref var value in block)
            value = Float4.FromE2M1(Float4.ToE2M1(value / scale)) * scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void RoundWhole(Span<float> block, float scale)
    {
        ref var target = ref MemoryMarshal.GetReference(block);
        var scales = Vector512.Create(scale);
        (Float4.FromE2M1(Float4.ToE2M1(Vector512.LoadUnsafe(ref target) / scales)) * scales).StoreUnsafe(ref target);
    }
}
