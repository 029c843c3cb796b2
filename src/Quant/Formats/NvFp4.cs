using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// NVFP4: w ≈ E2M1 · E4M3 · F32, with a scale g of the whole matrix and a scale per 16 inputs.
/// g = amax / (6·448); block scale = E4M3(clamp(block amax / (6·g), 2^-9, 448)), 1 for a block of zeros;
/// code = E2M1(w / (block scale · g)).
/// <para>Beside FP8 activations g = amax / 448: a weight over g then has a place among the E4M3 numbers, and the product is one of
/// FP8 with FP8.</para>
/// </summary>
/// <param name="GroupSize">Inputs that share a scale: 16, or 32 where ModelOpt has such a preset.</param>
/// <param name="InFp8">Whether g is made for FP8 activations.</param>
public sealed record NvFp4(int GroupSize = NvFp4.BlockSize, bool InFp8 = false)
    : NibbleFormat($"nvfp4-b{GroupSize}{(InFp8 ? "-fp8" : "")}", GroupSize)
{
    /// <summary>Inputs that share a scale, unless told otherwise.</summary>
    public const int BlockSize = 16;

    /// <summary>amax over g: the largest code times the largest block scale.</summary>
    public const float Range = Float4.LargestE2M1 * Float8.LargestE4M3;

    const float SmallestScale = 1f / 512; // the smallest E4M3 number above 0

    public override DType? ScaleType => DType.F8E4M3;

    public override bool HasTensorScale => true;

    public override bool FusedModulesShareScale => true;

    internal override ReadOnlySpan<float> Numbers => Float4.E2M1;

    public override float TensorScale(float amax) => Amax.ForScale(amax, Float4.LargestE2M1) / (InFp8 ? Float8.LargestE4M3 : Range);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales)
    {
        var divisor = Float4.LargestE2M1 * tensorScale;
        for (var block = 0; block < scales.Length; block++)
        {
            var scale = Amax.Of(row.Slice(block * Group, Group)) / divisor;
            scales[block] = Float8.ToE4M3(scale == 0 ? 1 : Math.Clamp(scale, SmallestScale, Float8.LargestE4M3));
        }
    }

    internal override int Nearest(float ratio) => Float4.ToE2M1(ratio);

    internal override void DecodeScales(ReadOnlySpan<byte> scales, float tensorScale, Span<float> groups) =>
        Float8.DecodeE4M3(scales, tensorScale, groups);

    internal override void CodeGroups(ReadOnlySpan<float> row, ReadOnlySpan<float> groups, Span<byte> codes) =>
        Nibbles.Encode<Encoder>(row, groups, Group, codes);

    readonly struct Encoder : Nibbles.IEncoder
    {
        // Not inlined: where 512 bits are two halves, the loop around it would exceed what the compiler inlines, and be six times slower.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        public static Vector512<uint> Code(Vector512<float> ratios) => Float4.ToE2M1(ratios);
    }
}
