using System.Numerics;

namespace Nibble.Tensors.Ops;

/// <summary>
/// x = x·H / √n in place over blocks of n of the last dimension, H[i, j] = (-1)^(bits that i and j have in common): a rotation that is
/// symmetric and its own inverse, so it spreads a peak over its block and leaves products of two rotated vectors as they were.
/// </summary>
public static class Hadamard
{
    /// <param name="x">[…, D] F32.</param>
    /// <param name="block">n, a power of two that divides D; 0 for D.</param>
    /// <exception cref="ShapeException">The tensor is not F32, or the block is not such a number.</exception>
    public static void Apply(Tensor x, int block = 0)
    {
        Expect.Type(x, DType.F32);
        var n = block == 0 ? x.Columns : block;
        if (n <= 0 || !BitOperations.IsPow2(n) || x.Columns % n != 0)
            throw new ShapeException($"Hadamard: a block must be a power of two that divides {x.Columns} columns; got {n}.");
        Work.For(x.Rows, 0.1 * x.Columns * BitOperations.Log2((uint)n), row => Host(x.Row(row), n));
    }

    internal static void Definition(ReadOnlySpan<float> x, int block, Span<double> y)
    {
        for (var at = 0; at < x.Length; at++)
        {
            var (sum, first) = (0.0, at - at % block);
            for (var i = 0; i < block; i++)
                sum += BitOperations.PopCount((uint)(i & (at - first))) % 2 == 0 ? x[first + i] : -x[first + i];
            y[at] = sum / Math.Sqrt(block);
        }
    }

    internal static void Host(Span<float> x, int block)
    {
        Span<float> sums = stackalloc float[Math.Min(Piece, block)];
        for (var at = 0; at < x.Length; at += block)
            for (var half = 1; half < block; half *= 2)
                if (half < Shortest)
                    Neighbours(x.Slice(at, block), half);
                else
                    Halves(x.Slice(at, block), half, sums);
        TensorPrimitives.Multiply(x, (float)(1 / Math.Sqrt(block)), x);
    }

    /// <summary>Numbers that are added at a time.</summary>
    const int Piece = 1024;

    /// <summary>Half a butterfly that is worth a call.</summary>
    const int Shortest = 8;

    static void Neighbours(Span<float> x, int half)
    {
        for (var start = 0; start < x.Length; start += 2 * half)
            for (var i = start; i < start + half; i++)
                (x[i], x[i + half]) = (x[i] + x[i + half], x[i] - x[i + half]);
    }

    static void Halves(Span<float> x, int half, Span<float> sums)
    {
        for (var start = 0; start < x.Length; start += 2 * half)
            for (var i = start; i < start + half; i += sums.Length)
            {
                var length = Math.Min(sums.Length, start + half - i);
                Span<float> low = x.Slice(i, length), high = x.Slice(i + half, length);
                TensorPrimitives.Add(low, high, sums[..length]);
                TensorPrimitives.Subtract(low, high, high);
                sums[..length].CopyTo(low);
            }
    }
}
