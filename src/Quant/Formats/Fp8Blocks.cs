using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// E4M3 under an F32 scale per 128 outputs and 128 inputs, amax of the block / 448; blocks at the end may be smaller. Here every row
/// has the scales of its blocks.
/// </summary>
public sealed record Fp8Blocks() : WeightFormat("fp8-b128x128")
{
    /// <summary>Outputs, and inputs, that share a scale.</summary>
    public const int BlockSize = 128;

    public override int Group => BlockSize;

    public override int RowsPerScale => BlockSize;

    public override int CodeBits => 8;

    public override DType CodeType => DType.F8E4M3;

    public override DType? ScaleType => DType.F32;

    public override bool HasTensorScale => false;

    public override double BitsPerWeight(int columns) => CodeBits + 32.0 / BlockSize * ScalesPerRow(columns) / columns;

    public override int ScalesPerRow(int columns) => (columns + BlockSize - 1) / BlockSize;

    public override string? Refuse(long rows, long columns) => null;

    public override float TensorScale(float amax) => 1;

    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales)
    {
        var groups = MemoryMarshal.Cast<byte, float>(scales);
        for (var g = 0; g < groups.Length; g++)
            groups[g] = Amax.ForScale(Amax.Of(Piece(row, g)), Float8.LargestE4M3) / Float8.LargestE4M3;
    }

    public override int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.ToE4M3(value / Scale(scales, group));

    public override float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.FromE4M3((byte)code) * Scale(scales, group);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void CodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> codes)
    {
        for (var at = 0; at < row.Length; at += BlockSize)
        {
            var length = Math.Min(BlockSize, row.Length - at);
            Float8.EncodeE4M3(row.Slice(at, length), Scale(scales, at / BlockSize), codes.Slice(at, length));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void DecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination)
    {
        for (var done = 0; done < destination.Length;)
        {
            var (block, offset) = Math.DivRem(column + done, BlockSize);
            var length = Math.Min(BlockSize - offset, destination.Length - done);
            Float8.DecodeE4M3(codes.Slice(column + done, length), Scale(scales, block), destination.Slice(done, length));
            done += length;
        }
    }

    static ReadOnlySpan<float> Piece(ReadOnlySpan<float> row, int block) =>
        row[(block * BlockSize)..Math.Min((block + 1) * BlockSize, row.Length)];

    static float Scale(ReadOnlySpan<byte> scales, int block) => MemoryMarshal.Read<float>(scales[(4 * block)..]);
}
