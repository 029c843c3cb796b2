using System.Runtime.InteropServices;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// An integer grid of 2 to 8 bits per group of inputs or per output, to see what fewer bits cost; no runtime reads it.
/// Symmetric: scale = amax / (2^(b-1) - 1), codes -2^(b-1) to 2^(b-1) - 1. Asymmetric: scale = (max - min) / (2^b - 1) over a range
/// that contains 0, zero point = round(-min / scale), w ≈ (code - zero) · scale; a row's scales are pairs of scale and zero point.
/// </summary>
public sealed record IntGroup : WeightFormat
{
    const float SmallestScale = 1e-12f;

    /// <param name="groupSize">A multiple of 8; 0 for a scale per output.</param>
    public IntGroup(int bits, int groupSize = 128, bool symmetric = true)
        : base($"int{bits}-{(groupSize == 0 ? "channel" : $"g{groupSize}")}{(symmetric ? "" : "-asym")}")
    {
        if (bits is < 2 or > 8)
            throw new ArgumentOutOfRangeException(nameof(bits), bits, "An integer grid has 2 to 8 bits.");
        if (groupSize < 0 || groupSize % 8 != 0)
            throw new ArgumentOutOfRangeException(nameof(groupSize), groupSize, "A group is a multiple of 8.");
        (CodeBits, Group, Symmetric) = (bits, groupSize, symmetric);
    }

    public bool Symmetric { get; }

    public override int Group { get; }

    public override int CodeBits { get; }

    public override DType CodeType => DType.U8;

    public override DType? ScaleType => DType.F32;

    public override bool HasTensorScale => false;

    int Largest => Symmetric ? (1 << (CodeBits - 1)) - 1 : (1 << CodeBits) - 1;

    public override string? Refuse(long rows, long columns) => columns % 8 != 0
        ? $"{columns} inputs are not a multiple of 8" : base.Refuse(rows, columns);

    public override int ScalesPerRow(int columns) => base.ScalesPerRow(columns) * (Symmetric ? 1 : 2);

    public override float TensorScale(float amax) => 1;

    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales)
    {
        var groups = MemoryMarshal.Cast<byte, float>(scales);
        var size = Group == 0 ? row.Length : Group;
        for (var g = 0; g < row.Length / size; g++)
        {
            var values = row.Slice(g * size, size);
            if (Symmetric)
                groups[g] = Math.Max(Amax.Of(values) / Largest, SmallestScale);
            else
                (groups[2 * g], groups[2 * g + 1]) = Range(values);
        }
    }

    public override int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group)
    {
        var (scale, zero) = ScaleAndZero(scales, group);
        var lowest = Symmetric ? -Largest - 1 : 0;
        return (int)Math.Clamp(MathF.Round(value / scale) + zero, lowest, Largest) & ((1 << CodeBits) - 1);
    }

    public override float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group)
    {
        var (scale, zero) = ScaleAndZero(scales, group);
        var number = Symmetric ? code << (32 - CodeBits) >> (32 - CodeBits) : code;
        return (number - zero) * scale;
    }

    (float Scale, float Zero) Range(ReadOnlySpan<float> values)
    {
        var (low, high) = (Math.Min(TensorPrimitives.Min(values), 0), Math.Max(TensorPrimitives.Max(values), 0));
        var scale = Math.Max((high - low) / Largest, SmallestScale);
        return (scale, Math.Clamp(MathF.Round(-low / scale), 0, Largest));
    }

    (float Scale, float Zero) ScaleAndZero(ReadOnlySpan<byte> scales, int group)
    {
        var groups = MemoryMarshal.Cast<byte, float>(scales);
        return Symmetric ? (groups[group], 0) : (groups[2 * group], groups[2 * group + 1]);
    }
}
