using System.Runtime.CompilerServices;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>Four-bit codes, each one of sixteen numbers times the scale of its group: INT4, NVFP4, MXFP4 and NF4.</summary>
public abstract record NibbleFormat : WeightFormat
{
    /// <summary>Scales that are decoded at a time.</summary>
    const int Chunk = 64;

    private protected NibbleFormat(string name, int group) : base(name) => Group = group > 0 && group % 16 == 0
        ? group
        : throw new ArgumentOutOfRangeException(nameof(group), group, "A group of 4-bit codes is a multiple of 16.");

    public sealed override int Group { get; }

    public sealed override int CodeBits => 4;

    public sealed override DType CodeType => DType.U8;

    /// <summary>The sixteen numbers in the order of their codes.</summary>
    internal abstract ReadOnlySpan<float> Numbers { get; }

    /// <summary>The code of one weight, already divided by its scale.</summary>
    internal abstract int Nearest(float ratio);

    /// <summary>What the codes of some groups are multiplied with. <paramref name="scales"/> holds just those groups.</summary>
    internal abstract void DecodeScales(ReadOnlySpan<byte> scales, float tensorScale, Span<float> groups);

    /// <summary>The codes of whole groups; <paramref name="groups"/> holds their scales.</summary>
    internal abstract void CodeGroups(ReadOnlySpan<float> row, ReadOnlySpan<float> groups, Span<byte> codes);

    public sealed override int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Nearest(value / GroupScale(scales, tensorScale, group));

    public sealed override float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Numbers[code & 15] * GroupScale(scales, tensorScale, group);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public sealed override void CodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> codes)
    {
        var bytes = ScaleType!.Value.Bytes();
        Span<float> groups = stackalloc float[Chunk];
        for (var first = 0; first < row.Length / Group; first += Chunk)
        {
            var count = Math.Min(Chunk, row.Length / Group - first);
            DecodeScales(scales.Slice(first * bytes, count * bytes), tensorScale, groups[..count]);
            CodeGroups(row.Slice(first * Group, count * Group), groups, codes.Slice(first * Group / 2, count * Group / 2));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public sealed override void DecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination)
    {
        var bytes = ScaleType!.Value.Bytes();
        Span<float> groups = stackalloc float[Chunk];
        for (var done = 0; done < destination.Length;)
        {
            var (first, offset) = Math.DivRem(column + done, Group);
            var length = Math.Min(destination.Length - done, Chunk * Group - offset);
            var count = (offset + length + Group - 1) / Group;
            DecodeScales(scales.Slice(first * bytes, count * bytes), tensorScale, groups[..count]);
            var stretch = destination.Slice(done, length);
            Nibbles.Decode(codes[((column + done) / 2)..], groups[..count], Group, offset, Numbers, stretch);
            done += length;
        }
    }

    float GroupScale(ReadOnlySpan<byte> scales, float tensorScale, int group)
    {
        var bytes = ScaleType!.Value.Bytes();
        var scale = 0f;
        DecodeScales(scales.Slice(group * bytes, bytes), tensorScale, new Span<float>(ref scale));
        return scale;
    }
}
