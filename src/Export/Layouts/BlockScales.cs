using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>Scales of blocks of rows, of which a file holds one row per block and a weight in memory one per row.</summary>
static class BlockScales
{
    /// <returns>[blocks of outputs, blocks of inputs] F32.</returns>
    /// <exception cref="ArgumentException">The rows of a block differ.</exception>
    public static Tensor Gather(string module, QuantizedWeight weight)
    {
        var (scales, block) = (weight.Scales!, weight.Format.RowsPerScale);
        var result = Tensor.Empty((scales.Rows + block - 1) / block, scales.Columns);
        for (var row = 0; row < scales.Rows; row++)
            if (row % block == 0)
                scales.Row(row).CopyTo(result.Row(row / block));
            else if (!scales.Row(row).SequenceEqual(result.Row(row / block)))
                throw new ArgumentException($"{module}: row {row} has other scales than the rows it shares them with", nameof(weight));
        return result;
    }

    /// <param name="stored">As many F32 numbers as there are blocks.</param>
    /// <returns>[out, blocks of inputs] F32.</returns>
    public static Tensor Spread(Tensor stored, WeightFormat format, int rows, int columns)
    {
        var blocks = format.ScalesPerRow(columns);
        var source = stored.Reshape(stored.Elements / blocks, blocks);
        var result = Tensor.Empty(rows, blocks);
        for (var row = 0; row < rows; row++)
            source.Row(row / format.RowsPerScale).CopyTo(result.Row(row));
        GC.KeepAlive(stored);
        return result;
    }
}
