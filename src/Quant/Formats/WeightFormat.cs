using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// How one weight matrix becomes codes and scales. Immutable; knows rows of numbers, not files or layouts.
/// <see cref="ScaleRow"/>, <see cref="Code"/> and <see cref="Value"/> are the definition; whole rows may be done faster, to the same
/// bits.
/// </summary>
/// <param name="Name">The name in reports, like <c>nvfp4-b16</c>.</param>
public abstract record WeightFormat(string Name)
{
    /// <summary>Consecutive inputs of a row that share a scale; 0 when a whole row does, -1 when the whole matrix does.</summary>
    public abstract int Group { get; }

    /// <summary>
    /// Consecutive outputs that share all their scales, counted from the first: <see cref="ScaleRow"/> is then given their largest
    /// magnitudes, column by column, and what it makes is stored for each of them.
    /// </summary>
    public virtual int RowsPerScale => 1;

    /// <summary>Bits of one code.</summary>
    public abstract int CodeBits { get; }

    /// <summary>
    /// Element type of the stored codes. Codes of fewer than eight bits are U8, packed from the low bit on; of two 4-bit codes the
    /// even column is the low nibble.
    /// </summary>
    public abstract DType CodeType { get; }

    /// <summary>Element type of the scales of rows or groups, or null where the matrix has one scale only.</summary>
    public abstract DType? ScaleType { get; }

    /// <summary>Whether a scale of the whole matrix exists.</summary>
    public abstract bool HasTensorScale { get; }

    /// <summary>Whether a matrix of this shape has a single scale.</summary>
    public bool HasOneScale(int rows, int columns) => Group < 0 || Group >= columns && RowsPerScale >= rows;

    /// <summary>Whether fused modules (q, k and v; gate and up) must have one tensor scale, of their largest magnitude.</summary>
    public virtual bool FusedModulesShareScale => false;

    /// <summary>Bits of storage per weight, scales included, for a matrix of this width.</summary>
    public virtual double BitsPerWeight(int columns) =>
        CodeBits + (ScaleType is { } scale ? 8.0 * scale.Bytes() * ScalesPerRow(columns) / columns : 0);

    /// <summary>Bytes of codes in a row.</summary>
    public int CodeBytesPerRow(int columns) => checked((int)((long)columns * CodeBits / 8));

    /// <summary>Scales in a row.</summary>
    public virtual int ScalesPerRow(int columns) => Group switch { > 0 => columns / Group, 0 => 1, _ => 0 };

    /// <summary>Bytes of scales in a row.</summary>
    public int ScaleBytesPerRow(int columns) => ScaleType is { } type ? ScalesPerRow(columns) * type.Bytes() : 0;

    /// <summary>Why a matrix of this shape cannot be stored in this format, or null.</summary>
    public virtual string? Refuse(long rows, long columns) =>
        Group > 0 && columns % Group != 0 ? $"{columns} inputs are not a multiple of the group {Group}" : null;

    /// <summary>The scale of the whole matrix for this largest magnitude; 1 where there is none.</summary>
    public abstract float TensorScale(float amax);

    /// <summary>Chooses the scales of one row by its largest magnitudes.</summary>
    /// <param name="row">The weights, F32 and finite.</param>
    /// <param name="tensorScale">What <see cref="TensorScale"/> gave.</param>
    /// <param name="scales"><see cref="ScalesPerRow"/> scales of <see cref="ScaleType"/>, as bytes.</param>
    public abstract void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales);

    /// <summary>
    /// Stores the scales of a finished matrix in less, where the format does; the codes were made under those given here.
    /// </summary>
    /// <param name="scales">All scales of all rows; changed to the numbers that decoding takes.</param>
    public virtual void FinishScales(Tensor scales)
    {
    }

    /// <summary>The code of one weight under the scales of its row, in the low <see cref="CodeBits"/> bits.</summary>
    /// <param name="scales">The scales of the row.</param>
    /// <param name="group">Which group of the row the weight is in; 0 where there are no groups.</param>
    public abstract int Code(float value, float tensorScale, ReadOnlySpan<byte> scales, int group);

    /// <summary>The number behind a code.</summary>
    public abstract float Value(int code, float tensorScale, ReadOnlySpan<byte> scales, int group);

    /// <summary>The number a weight becomes: <see cref="Value"/> of its <see cref="Code"/>.</summary>
    public float Round(float value, float tensorScale, ReadOnlySpan<byte> scales, int group) =>
        Value(Code(value, tensorScale, scales, group), tensorScale, scales, group);

    /// <summary>The codes of one row under given scales.</summary>
    /// <param name="codes"><see cref="CodeBytesPerRow"/> bytes.</param>
    public virtual void CodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> codes) =>
        PlainCodeRow(row, tensorScale, scales, codes);

    /// <summary>Scales and codes of one row: <see cref="ScaleRow"/>, then <see cref="CodeRow"/>.</summary>
    public void EncodeRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> codes, Span<byte> scales)
    {
        ScaleRow(row, tensorScale, scales);
        CodeRow(row, tensorScale, scales, codes);
    }

    /// <summary>The numbers of a stretch of a row. <paramref name="column"/> is even and may lie inside a group.</summary>
    public virtual void DecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination) =>
        PlainDecodeRow(codes, scales, tensorScale, column, destination);

    internal void PlainCodeRow(ReadOnlySpan<float> row, float tensorScale, ReadOnlySpan<byte> scales, Span<byte> codes)
    {
        codes.Clear();
        for (var column = 0; column < row.Length; column++)
        {
            var code = Code(row[column], tensorScale, scales, Group > 0 ? column / Group : 0) & ((1 << CodeBits) - 1);
            var (at, shift) = Math.DivRem(column * CodeBits, 8);
            codes[at] |= (byte)(code << shift);
            if (shift + CodeBits > 8)
                codes[at + 1] |= (byte)(code >> (8 - shift));
        }
    }

    internal void PlainDecodeRow(
        ReadOnlySpan<byte> codes, ReadOnlySpan<byte> scales, float tensorScale, int column, Span<float> destination)
    {
        for (var i = 0; i < destination.Length; i++)
        {
            var (at, shift) = Math.DivRem((column + i) * CodeBits, 8);
            var code = codes[at] >> shift;
            if (shift + CodeBits > 8)
                code |= codes[at + 1] << (8 - shift);
            var group = Group > 0 ? (column + i) / Group : 0;
            destination[i] = Value(code & ((1 << CodeBits) - 1), tensorScale, scales, group);
        }
    }

    public sealed override string ToString() => Name;
}
