using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// NF4 (T. Dettmers et al., "QLoRA", arXiv:2305.14314): sixteen quantiles of the normal distribution, rounded to BF16, under the
/// largest magnitude of each group of inputs; the nearest number, of two as near the lower one. To see what it costs; no runtime of
/// checkpoints reads it.
/// </summary>
/// <param name="GroupSize">Inputs that share a scale.</param>
/// <param name="ScaleBlock">Scales that are rounded to bytes together (<see cref="DoubleScales"/>); 0 for scales in F32.</param>
public sealed record Nf4(int GroupSize = 64, int ScaleBlock = 0)
    : NibbleFormat($"nf4-g{GroupSize}{(ScaleBlock > 0 ? $"-s{ScaleBlock}" : "")}", GroupSize)
{
    public override DType? ScaleType => DType.F32;

    public override bool HasTensorScale => false;

    internal override ReadOnlySpan<float> Numbers =>
    [
        -1, -0.6953125f, -0.5234375f, -0.39453125f, -0.28515625f, -0.1845703125f, -0.09130859375f, 0,
        0.07958984375f, 0.1611328125f, 0.24609375f, 0.337890625f, 0.44140625f, 0.5625f, 0.72265625f, 1,
    ];

    public override double BitsPerWeight(int columns) =>
        ScaleBlock == 0 ? base.BitsPerWeight(columns) : CodeBits + (8 + 32.0 / ScaleBlock) / GroupSize;

    public override float TensorScale(float amax) => 1;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales)
    {
        var groups = MemoryMarshal.Cast<byte, float>(scales);
        for (var g = 0; g < groups.Length; g++)
            groups[g] = Amax.ForScale(Amax.Of(row.Slice(g * Group, Group)), 1);
    }

    public override void FinishScales(Tensor scales)
    {
        if (ScaleBlock > 0)
            DoubleScales.Of(scales.Span<float>(), ScaleBlock).CopyTo(scales.Span<float>());
        GC.KeepAlive(scales);
    }

    internal override int Nearest(float ratio)
    {
        var code = 0;
        foreach (var bound in Bounds)
            code += ratio > bound ? 1 : 0;
        return code;
    }

    internal override void DecodeScales(ReadOnlySpan<byte> scales, float tensorScale, Span<float> groups) =>
        MemoryMarshal.Cast<byte, float>(scales).CopyTo(groups);

    internal override void CodeGroups(ReadOnlySpan<float> row, ReadOnlySpan<float> groups, Span<byte> codes) =>
        Nibbles.Encode<Encoder>(row, groups, Group, codes);

    /// <summary>Half way between neighbouring numbers.</summary>
    static ReadOnlySpan<float> Bounds =>
    [
        -0.84765625f, -0.609375f, -0.458984375f, -0.33984375f, -0.23486328125f, -0.137939453125f, -0.045654296875f,
        0.039794921875f, 0.120361328125f, 0.20361328125f, 0.2919921875f, 0.3896484375f, 0.501953125f, 0.642578125f, 0.861328125f,
    ];

    readonly struct Encoder : Nibbles.IEncoder
    {
        // Not inlined: see NvFp4.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        public static Vector512<uint> Code(Vector512<float> ratios)
        {
            var code = Vector512<uint>.Zero;
            foreach (var bound in Bounds)
                code -= Vector512.GreaterThan(ratios, Vector512.Create(bound)).AsUInt32(); // a true lane is -1
            return code;
        }
    }
}
