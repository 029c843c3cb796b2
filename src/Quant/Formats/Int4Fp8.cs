using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// INT4 in groups for FP8 activations: codes and group scales as <see cref="Int4"/>, and a scale g = amax / 448 of the whole matrix,
/// under which the number behind a code is rounded to E4M3, so that a product is one of FP8 with FP8: w ≈ E4M3(code · scale / g) · g.
/// </summary>
public sealed record Int4Fp8(int GroupSize = 128) : WeightFormat($"int4-g{GroupSize}-fp8")
{
    readonly Int4 codes = new(GroupSize);

    public override int Group => GroupSize;

    public override int CodeBits => 4;

    public override DType CodeType => DType.U8;

    public override DType? ScaleType => DType.F32;

    public override bool HasTensorScale => true;

    public override bool FusedModulesShareScale => true;

    /// <summary>Of the largest number behind a code, 7 times the largest scale.</summary>
    public override float TensorScale(float amax) => amax == 0 ? 1 : Amax.ForScale(amax, 7) / 7 * 7 / Float8.LargestE4M3;

    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales) => codes.ScaleRow(row, 1, scales);

    public override int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        codes.Code(value, 1, scales, group);

    public override float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Float8.FromE4M3(Float8.ToE4M3(codes.Value(code, 1, scales, group) / tensorScale)) * tensorScale;

    public override void CodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> destination) =>
        codes.CodeRow(row, 1, scales, destination);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void DecodeRow(
        ReadOnlySpan<byte> source, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination)
    {
        codes.DecodeRow(source, scales, 1, column, destination);
        ref var target = ref MemoryMarshal.GetReference(destination);
        var divisor = Vector512.Create(tensorScale);
        var i = 0;
        for (; i <= destination.Length - 16; i += 16)
        {
            var code = Float8.ToE4M3(Vector512.LoadUnsafe(ref target, (nuint)i) / divisor);
            (Float8.FromE4M3(code) * divisor).StoreUnsafe(ref target, (nuint)i);
        }
        for (; i < destination.Length; i++)
            destination[i] = Float8.FromE4M3(Float8.ToE4M3(destination[i] / tensorScale)) * tensorScale;
    }
}
