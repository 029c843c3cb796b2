using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>One quantized matrix. How codes become the bytes of a checkpoint is the business of a layout, not of this.</summary>
/// <param name="Format">What the codes mean.</param>
/// <param name="Rows">Outputs.</param>
/// <param name="Columns">Inputs.</param>
/// <param name="Codes">[out, code bytes of a row].</param>
/// <param name="Scales">[out] or [out, groups], or null.</param>
/// <param name="TensorScale">The scale of the whole matrix; 1 where there is none.</param>
public sealed record QuantizedWeight(
    WeightFormat Format, int Rows, int Columns, Tensor Codes, Tensor? Scales, float TensorScale) : IWeightRows
{
    public long Bytes => Codes.Bytes + (Scales?.Bytes ?? 0) + (Format.HasTensorScale ? 4 : 0);

    public unsafe void Decode(int row, int column, Span<float> destination)
    {
        var codeBytes = Format.CodeBytesPerRow(Columns);
        var scaleBytes = Format.ScaleType is { } type ? Format.ScalesPerRow(Columns) * type.Bytes() : 0;
        Format.DecodeRow(
            new ReadOnlySpan<byte>(Codes.Pointer + (long)row * codeBytes, codeBytes),
            Scales is null ? default : new ReadOnlySpan<byte>(Scales.Pointer + (long)row * scaleBytes, scaleBytes),
            TensorScale, column, destination);
    }
}
