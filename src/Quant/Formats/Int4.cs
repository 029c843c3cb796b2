using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// Two's-complement nibbles under an F32 scale per group: scale = amax / 7, code = round(w / scale) in -8 to 7, ties to even.
/// </summary>
public sealed record Int4(int GroupSize = 128) : NibbleFormat($"int4-g{GroupSize}", GroupSize)
{
    public override DType? ScaleType => DType.F32;

    public override bool HasTensorScale => false;

    internal override ReadOnlySpan<float> Numbers => [0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1];

    public override float TensorScale(float amax) => 1;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales)
    {
        var groups = MemoryMarshal.Cast<byte, float>(scales);
        for (var g = 0; g < groups.Length; g++)
            groups[g] = Amax.ForScale(Amax.Of(row.Slice(g * Group, Group)), 7) / 7;
    }

    internal override int Nearest(float ratio) => (int)Math.Clamp(MathF.Round(ratio), -8, 7) & 15;

    internal override void DecodeScales(ReadOnlySpan<byte> scales, float tensorScale, Span<float> groups) =>
        MemoryMarshal.Cast<byte, float>(scales).CopyTo(groups);

    internal override void CodeGroups(ReadOnlySpan<float> row, ReadOnlySpan<float> groups, Span<byte> codes) =>
        Nibbles.Encode<Encoder>(row, groups, Group, codes);

    readonly struct Encoder : Nibbles.IEncoder
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<uint> Code(Vector512<float> ratios)
        {
            var clamped = Vector512.Clamp(Vector512.Round(ratios), Vector512.Create(-8f), Vector512.Create(7f));
            return Vector512.ConvertToInt32(clamped).AsUInt32() & Vector512.Create(15u);
        }
    }
}
