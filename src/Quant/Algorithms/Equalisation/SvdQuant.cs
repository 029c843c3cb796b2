using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>
/// SVDQuant (M. Li et al., arXiv:2411.05007): the weight, smoothed by <see cref="Awq"/> first, is the product of its largest
/// singular directions, kept unquantized, and a rest that is quantized: y = Q(x̂)·Q(W - B·A)ᵀ + (x̂·Aᵀ)·Bᵀ.
/// </summary>
public static class SvdQuant
{
    /// <summary>Up to this many rows or columns every singular vector is found; beyond it only those asked for.</summary>
    internal const int DirectSize = 512;

    /// <summary>
    /// The best approximation of this rank: with W = U·S·Vᵀ, A = Vᵀ and B = U·S of the largest singular values. The
    /// rows of A are orthonormal but for zero ones.
    /// </summary>
    /// <param name="weight">[out, in] of any float type, out and in at least <paramref name="rank"/>.</param>
    /// <exception cref="QuantizationException">Weights that are no matrix of finite numbers or smaller than the rank.</exception>
    public static LowRank Decompose(Tensor weight, int rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rank);
        var matrix = ChannelScaling.Matrix(weight, weight.Columns);
        var (rows, columns) = (matrix.Rows, matrix.Columns);
        if (Math.Min(rows, columns) < rank)
            throw new QuantizationException($"weight: {weight} has no rank {rank}");
        var wide = new DoubleMatrix(rows, columns);
        for (var row = 0; row < rows; row++)
            TensorPrimitives.ConvertChecked<float, double>(matrix.Row(row), wide.Row(row));

        var right = Math.Min(rows, columns) <= Math.Max(DirectSize, 2 * rank)
            ? SingularVectors.Right(wide, rank)
            : SingularVectors.LeadingRight(wide, rank);
        var left = wide.TimesTransposed(right); // W·V = U·S
        return new LowRank(right.ToTensor(), left.ToTensor());
    }

    /// <summary>W - B·A in F32.</summary>
    public static Tensor Residual(Tensor weight, LowRank part)
    {
        var residual = Tensor.Empty(weight.Rows, weight.Columns);
        MatMul.Multiply(part.Up, part.Down, residual);
        var matrix = ChannelScaling.Matrix(weight, weight.Columns);
        for (var row = 0; row < matrix.Rows; row++)
            TensorPrimitives.Subtract(matrix.Row(row), residual.Row(row), residual.Row(row));
        return residual;
    }
}
