using System.Buffers;
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
        var n = Block(x, block, x.Columns, "columns");
        Work.For(x.Rows, 0.1 * x.Columns * BitOperations.Log2((uint)n), row => Host(x.Row(row), n));
    }

    /// <summary>x = H·x / √n in place over blocks of n rows.</summary>
    /// <param name="x">[D, columns] F32.</param>
    /// <param name="block">n, a power of two that divides D; 0 for D.</param>
    /// <exception cref="ShapeException">The tensor is not F32, or the block is not such a number.</exception>
    public static void ApplyToColumns(Tensor x, int block = 0)
    {
        var n = Block(x, block, x.Rows, "rows");
        var tiles = (x.Columns + Tile - 1) / Tile;
        Work.For(tiles, 0.1 * x.Rows * Tile * BitOperations.Log2((uint)n), tile =>
        {
            var scratch = ArrayPool<float>.Shared.Rent(n * Tile);
            for (var row = 0; row < x.Rows; row += n)
                HostColumns(x, row, tile * Tile, scratch.AsSpan(0, n * Math.Min(Tile, x.Columns - tile * Tile)), n);
            ArrayPool<float>.Shared.Return(scratch);
        });
    }

    /// <summary>Columns that are turned together: a line of memory.</summary>
    const int Tile = 16;

    static int Block(Tensor x, int block, int size, string what)
    {
        Expect.Type(x, DType.F32);
        var n = block == 0 ? size : block;
        return n > 0 && BitOperations.IsPow2(n) && size % n == 0 ? n
            : throw new ShapeException($"Hadamard: a block must be a power of two that divides {size} {what}; got {n}.");
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

    /// <summary>Row by row in one span, a butterfly of rows is one of numbers that is wider by the number of columns.</summary>
    static void HostColumns(Tensor x, int row, int column, Span<float> scratch, int block)
    {
        var width = scratch.Length / block;
        for (var i = 0; i < block; i++)
            x.Row(row + i).Slice(column, width).CopyTo(scratch[(i * width)..]);
        Span<float> sums = stackalloc float[Math.Min(Piece, scratch.Length)];
        for (var half = width; half < scratch.Length; half *= 2)
            if (half < Shortest)
                Neighbours(scratch, half);
            else
                Halves(scratch, half, sums);
        TensorPrimitives.Multiply(scratch, (float)(1 / Math.Sqrt(block)), scratch);
        for (var i = 0; i < block; i++)
            scratch.Slice(i * width, width).CopyTo(x.Row(row + i)[column..]);
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
