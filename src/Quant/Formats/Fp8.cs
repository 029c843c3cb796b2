using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>E4M3 under one scale for the whole matrix, amax / 448.</summary>
public sealed record Fp8() : WeightFormat("fp8-tensor")
{
    public override int Group => -1;

    public override int CodeBits => 8;

    public override DType CodeType => DType.F8E4M3;

    public override DType? ScaleType => null;

    public override bool HasTensorScale => true;

    public override float TensorScale(float amax) => Amax.ForScale(amax, Float8.LargestE4M3) / Float8.LargestE4M3;

    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales)
    {
    }

    public override int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.ToE4M3(value / tensorScale);

    public override float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.FromE4M3((byte)code) * tensorScale;

    public override void CodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> codes) =>
        Float8.EncodeE4M3(row, tensorScale, codes);

    public override void DecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination) =>
        Float8.DecodeE4M3(codes.Slice(column, destination.Length), tensorScale, destination);
}
