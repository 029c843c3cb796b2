using System.Runtime.InteropServices;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>E4M3 under one F32 scale per output, amax of the row / 448.</summary>
public sealed record Fp8PerChannel() : WeightFormat("fp8-channel")
{
    public override int Group => 0;

    public override int CodeBits => 8;

    public override DType CodeType => DType.F8E4M3;

    public override DType? ScaleType => DType.F32;

    public override bool HasTensorScale => false;

    public override float TensorScale(float amax) => 1;

    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales)
    {
        var scale = Amax.ForScale(Amax.Of(row), Float8.LargestE4M3) / Float8.LargestE4M3;
        MemoryMarshal.Write(scales, scale);
    }

    public override int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.ToE4M3(value / MemoryMarshal.Read<float>(scales));

    public override float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.FromE4M3((byte)code) * MemoryMarshal.Read<float>(scales);

    public override void CodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> codes) =>
        Float8.EncodeE4M3(row, MemoryMarshal.Read<float>(scales), codes);

    public override void DecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination) =>
        Float8.DecodeE4M3(codes.Slice(column, destination.Length), MemoryMarshal.Read<float>(scales), destination);
}
