using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>Between the formats of checkpoints and the grids algorithms search.</summary>
static class Grids
{
    /// <summary>Whether there is a grid: not where rows share a scale, nor where scales are rounded together.</summary>
    public static bool Has(WeightFormat format) => format is not Nf4 && format.RowsPerScale == 1;

    public static Grid Of(WeightFormat format) => format switch
    {
        Int4Fp8 two => new Int4Fp8Grid(two),
        Int4 => UniformGrid.Signed(format.Group, -8, 7),
        Int8PerChannel => UniformGrid.Signed(0, -128, 127),
        IntGroup { Symmetric: true } => UniformGrid.Signed(
            format.Group, -(1 << (format.CodeBits - 1)), (1 << (format.CodeBits - 1)) - 1),
        IntGroup => UniformGrid.Unsigned(format.CodeBits, format.Group, symmetric: false),
        _ => new FloatGrid(format),
    };

    /// <summary>Codes and scales as the format stores them.</summary>
    /// <param name="codes">[out · in], of each code the low bits.</param>
    /// <param name="scales">[out · groups].</param>
    public static QuantizedWeight Store(
        WeightFormat format, int rows, int columns, ReadOnlySpan<byte> codes, ReadOnlySpan<GroupScale> scales, float tensorScale)
    {
        var stored = Tensor.Zeros(new Shape(rows, format.CodeBytesPerRow(columns)), format.CodeType);
        var scaleTensor = format.ScaleType is { } type
            ? Tensor.Zeros(new Shape(rows, format.ScalesPerRow(columns)), type)
            : null;
        var groups = scales.Length / Math.Max(1, rows);
        for (var row = 0; row < rows; row++)
        {
            Pack(codes.Slice(row * columns, columns), format.CodeBits, stored.Row<byte>(row));
            if (scaleTensor is not null)
                StoreScales(scales.Slice(row * groups, groups), scaleTensor, row);
        }
        return new QuantizedWeight(format, rows, columns, stored, scaleTensor, tensorScale);
    }

    static void StoreScales(ReadOnlySpan<GroupScale> scales, Tensor target, int row)
    {
        for (var g = 0; g < scales.Length; g++)
            if (target.DType != DType.F32)
                target.Row<byte>(row)[g] = scales[g].Stored;
            else if (target.Columns == scales.Length)
                target.Row(row)[g] = scales[g].Scale;
            else
                (target.Row(row)[2 * g], target.Row(row)[2 * g + 1]) = (scales[g].Scale, scales[g].Zero);
    }

    static void Pack(ReadOnlySpan<byte> codes, int bits, Span<byte> packed)
    {
        for (var i = 0; i < codes.Length; i++)
        {
            var code = codes[i] & ((1 << bits) - 1);
            var (at, shift) = Math.DivRem(i * bits, 8);
            packed[at] |= (byte)(code << shift);
            if (shift + bits > 8)
                packed[at + 1] |= (byte)(code >> (8 - shift));
        }
    }
}
