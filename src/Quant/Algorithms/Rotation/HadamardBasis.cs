using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Rotation;

/// <summary>
/// A change of basis v → v·Q of vectors whose width is a multiple of <see cref="Block"/>: Q = diag(signs)·H / √n block by block, which is
/// orthogonal. The signs make it a random rotation and not one that some channel might already lie in (QuaRot, arXiv:2404.00456, section 3).
/// </summary>
sealed class HadamardBasis
{
    readonly float[]? signs;

    HadamardBasis(int block, float[]? signs) => (Block, this.signs) = (block, signs);

    /// <summary>n, a power of two.</summary>
    public int Block { get; }

    /// <summary>Of the residual stream: blocks of the largest power of two that divides its width, and signs that are always the same.</summary>
    public static HadamardBasis OfStream(int width)
    {
        var signs = new float[width];
        for (var i = 0; i < width; i++)
            signs[i] = Sign(i);
        return new HadamardBasis(LargestBlock(width), signs);
    }

    /// <summary>Of every head by itself: blocks of the largest power of two that divides its width, without signs.</summary>
    public static HadamardBasis OfHeads(int headWidth) => new(LargestBlock(headWidth), null);

    /// <summary>Each row v becomes (v ⊙ <paramref name="factors"/>)·Q.</summary>
    /// <param name="x">[rows, D] F32.</param>
    /// <param name="factors">[D]; empty for none.</param>
    public void TurnRows(Tensor x, ReadOnlySpan<float> factors = default)
    {
        for (var row = 0; row < x.Rows; row++)
        {
            var v = x.Row(row);
            if (!factors.IsEmpty)
                TensorPrimitives.Multiply(v, factors, v);
            if (signs is not null)
                TensorPrimitives.Multiply(v, signs, v);
        }
        Hadamard.Apply(x, Block);
    }

    /// <summary>Each column v becomes v·Q.</summary>
    /// <param name="x">[D, columns] F32.</param>
    public void TurnColumns(Tensor x)
    {
        if (signs is not null)
            for (var row = 0; row < x.Rows; row++)
                TensorPrimitives.Multiply(x.Row(row), signs[row], x.Row(row));
        Hadamard.ApplyToColumns(x, Block);
    }

    /// <summary>The sign of a channel: the highest bit of its number's SplitMix64.</summary>
    internal static float Sign(int channel)
    {
        var z = ((ulong)channel + 1) * 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return ((z ^ (z >> 31)) >> 63) == 0 ? 1 : -1;
    }

    internal static int LargestBlock(int width) => width & -width;
}
