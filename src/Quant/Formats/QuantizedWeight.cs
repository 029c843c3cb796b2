using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>One quantized matrix. How codes become the bytes of a checkpoint is the business of a layout, not of this.</summary>
/// <param name="Format">What the codes mean.</param>
/// <param name="Rows">Outputs.</param>
/// <param name="Columns">Inputs.</param>
/// <param name="Codes">[out, code bytes of a row].</param>
/// <param name="Scales">[out, scales of a row], or null.</param>
/// <param name="TensorScale">The scale of the whole matrix; 1 where there is none.</param>
/// <exception cref="QuantizationException">Codes or scales do not have the size the format gives them.</exception>
public sealed record QuantizedWeight(
    WeightFormat Format, int Rows, int Columns, Tensor Codes, Tensor? Scales, float TensorScale) : IWeightRows
{
    public WeightFormat Format { get; } = Format;

    public int Rows { get; } = Rows;

    public int Columns { get; } = Columns;

    public Tensor Codes { get; } = CheckBytes(Codes, Rows, Format.CodeBytesPerRow(Columns), "codes", Format);

    public Tensor? Scales { get; } = Scales is not null || Format.ScaleType is not null
        ? CheckBytes(Scales, Rows, Format.ScaleBytesPerRow(Columns), "scales", Format)
        : null;

    public long Bytes => Codes.Bytes + (Scales?.Bytes ?? 0) + (Format.HasTensorScale ? 4 : 0);

    public unsafe void Decode(int row, int column, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows);
        if (column < 0 || (column & 1) != 0 || destination.Length > Columns - column)
            throw new ArgumentOutOfRangeException(nameof(column), column,
                $"{destination.Length} columns from an even column of {Columns} expected.");
        var codeBytes = Format.CodeBytesPerRow(Columns);
        var scaleBytes = Format.ScaleBytesPerRow(Columns);
        Format.DecodeRow(
            new ReadOnlySpan<byte>(Codes.Pointer + (long)row * codeBytes, codeBytes),
            Scales is null ? default : new ReadOnlySpan<byte>(Scales.Pointer + (long)row * scaleBytes, scaleBytes),
            TensorScale, column, destination);
        GC.KeepAlive(this); // the spans do not hold the storage
    }

    static Tensor CheckBytes(Tensor? tensor, int rows, int bytesPerRow, string what, WeightFormat format) =>
        tensor is not null && tensor.Bytes == (long)rows * bytesPerRow
            ? tensor
            : throw new QuantizationException($"{format.Name}: {what} of {rows} rows of {bytesPerRow} bytes expected; " +
                $"got {tensor?.ToString() ?? "none"}");
}
