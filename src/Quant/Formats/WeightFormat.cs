using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>How one weight matrix becomes codes and scales. Immutable; knows rows of numbers, not files or layouts.</summary>
/// <param name="Name">The name in reports, like <c>nvfp4-b16</c>.</param>
public abstract record WeightFormat(string Name)
{
    /// <summary>Consecutive inputs of a row that share one scale; 0 when a whole row does, -1 when the whole matrix does.</summary>
    public abstract int Group { get; }

    /// <summary>Bits of one code.</summary>
    public abstract int CodeBits { get; }

    /// <summary>Element type of the stored codes; 4-bit codes are U8 with the even column in the low nibble.</summary>
    public abstract DType CodeType { get; }

    /// <summary>Element type of the scales of rows or groups, or null where the matrix has one scale only.</summary>
    public abstract DType? ScaleType { get; }

    /// <summary>Whether a scale of the whole matrix exists. Fused modules must share it, so it is computed from a shared maximum.</summary>
    public abstract bool HasTensorScale { get; }

    /// <summary>Bits of storage per weight, scales included, for a matrix of this width.</summary>
    public virtual double BitsPerWeight(int columns) =>
        CodeBits + (ScaleType is { } scale ? 8.0 * scale.Bytes() * ScalesPerRow(columns) / columns : 0);

    /// <summary>Bytes of codes in a row.</summary>
    public int CodeBytesPerRow(int columns) => checked(columns * CodeBits) / 8;

    /// <summary>Scales in a row.</summary>
    public int ScalesPerRow(int columns) => Group switch { > 0 => columns / Group, 0 => 1, _ => 0 };

    /// <summary>Why a matrix of this shape cannot be stored in this format, or null.</summary>
    public virtual string? Refuse(long rows, long columns) =>
        Group > 0 && columns % Group != 0 ? $"{columns} inputs are not a multiple of the group {Group}" : null;

    /// <summary>The scale of the whole matrix for this largest magnitude; 1 where there is none.</summary>
    public abstract float TensorScale(float amax);

    /// <summary>Codes and scales of one row.</summary>
    /// <param name="row">The weights, F32.</param>
    /// <param name="tensorScale">What <see cref="TensorScale"/> gave.</param>
    /// <param name="codes"><see cref="CodeBytesPerRow"/> bytes.</param>
    /// <param name="scales"><see cref="ScalesPerRow"/> scales of <see cref="ScaleType"/>, as bytes.</param>
    public abstract void EncodeRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> codes, Span<byte> scales);

    /// <summary>The numbers of a stretch of a row. <paramref name="column"/> is even; the stretch may begin inside a group.</summary>
    public abstract void DecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination);

    public sealed override string ToString() => Name;
}
