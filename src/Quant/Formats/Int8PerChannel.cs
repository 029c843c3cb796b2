using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>Signed bytes, one F32 scale per output: scale = amax of the row / 127, code = round(w / scale), ties to even.</summary>
public sealed record Int8PerChannel() : WeightFormat("int8-channel")
{
    public override int Group => 0;

    public override int CodeBits => 8;

    public override DType CodeType => DType.I8;

    public override DType? ScaleType => DType.F32;

    public override bool HasTensorScale => false;

    public override float TensorScale(float amax) => 1;

    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales)
    {
        var scale = Amax.ForScale(Amax.Of(row), 127) / 127;
        MemoryMarshal.Write(scales, scale);
    }

    public override int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        (int)Math.Clamp(MathF.Round(value / MemoryMarshal.Read<float>(scales)), -128, 127);

    public override float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        (sbyte)code * MemoryMarshal.Read<float>(scales);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void CodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> codes)
    {
        var scale = MemoryMarshal.Read<float>(scales);
        ref var source = ref MemoryMarshal.GetReference(row);
        ref var target = ref MemoryMarshal.GetReference(codes[..row.Length]);
        var i = 0;
        for (; i <= row.Length - 16; i += 16)
        {
            var ratio = Vector512.Round(Vector512.LoadUnsafe(ref source, (nuint)i) / Vector512.Create(scale));
            var code = Vector512.ConvertToInt32(Vector512.Clamp(ratio, Vector512.Create(-128f), Vector512.Create(127f)));
            var words = Vector256.Narrow(code.GetLower(), code.GetUpper());
            Vector128.Narrow(words.GetLower(), words.GetUpper()).AsByte().StoreUnsafe(ref target, (nuint)i);
        }
        for (; i < row.Length; i++)
            codes[i] = (byte)Code(row[i], tensorScale, scales, 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void DecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination)
    {
        var scale = MemoryMarshal.Read<float>(scales);
        ref var source = ref MemoryMarshal.GetReference(codes.Slice(column, destination.Length));
        ref var target = ref MemoryMarshal.GetReference(destination);
        var i = 0;
        for (; i <= destination.Length - 16; i += 16)
        {
            var (low, high) = Vector128.Widen(Vector128.LoadUnsafe(ref source, (nuint)i).AsSByte());
            var (a, b) = Vector128.Widen(low);
            var (c, d) = Vector128.Widen(high);
            var wide = Vector512.Create(Vector256.Create(a, b), Vector256.Create(c, d));
            (Vector512.ConvertToSingle(wide) * Vector512.Create(scale)).StoreUnsafe(ref target, (nuint)i);
        }
        for (; i < destination.Length; i++)
            destination[i] = (sbyte)codes[column + i] * scale;
    }
}
