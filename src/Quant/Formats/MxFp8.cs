using System.Runtime.CompilerServices;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>MXFP8: E4M3 under a shared power of two per 32 inputs.</summary>
public sealed record MxFp8() : WeightFormat("mxfp8-b32")
{
    public override int Group => SharedExponent.Block;

    public override int CodeBits => 8;

    public override DType CodeType => DType.F8E4M3;

    public override DType? ScaleType => DType.F8E8M0;

    public override bool HasTensorScale => false;

    public override float TensorScale(float amax) => 1;

    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales) =>
        SharedExponent.ScaleRow(row, Float8.LargestE4M3, scales);

    public override int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.ToE4M3(value / Float8.FromE8M0(scales[group]));

    public override float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.FromE4M3((byte)code) * Float8.FromE8M0(scales[group]);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void CodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> codes)
    {
        for (var g = 0; g < row.Length / Group; g++)
            Float8.EncodeE4M3(row.Slice(g * Group, Group), Float8.FromE8M0(scales[g]), codes.Slice(g * Group, Group));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void DecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination)
    {
        for (var done = 0; done < destination.Length;)
        {
            var (group, offset) = Math.DivRem(column + done, Group);
            var length = Math.Min(destination.Length - done, Group - offset);
            var power = Float8.FromE8M0(scales[group]);
            Float8.DecodeE4M3(codes.Slice(column + done, length), power, destination.Slice(done, length));
            done += length;
        }
    }
}
