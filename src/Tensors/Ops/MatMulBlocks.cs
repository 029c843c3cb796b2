using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>
/// The blocked product: A is packed into panels that stay in the second-level cache, B is laid out one sliver at a time in the
/// first, and every tile of C is computed in registers over <see cref="Steps"/> steps of k, then added to memory.
/// <para>For each element of C the arithmetic depends on K alone, so results do not change with the number of threads, the other
/// rows of the batch, or where block boundaries fall.</para>
/// </summary>
static class MatMulBlocks
{
    /// <summary>Steps of k in one block: a sliver of 32 columns is then 32 KiB.</summary>
    public const int Steps = 256;

    /// <summary>Most rows of A packed at a time: with <see cref="Steps"/>, half a mebibyte of panels.</summary>
    public const int MostRows = 516;

    /// <summary>Columns of C that one task computes, unless that leaves threads without work.</summary>
    public const int Columns = 256;

    public const int MostSliverColumns = 32;
    public const int MostTileFloats = 12 * MostSliverColumns;
}

/// <summary>C [M, N] = A·B, or C += A·B, or only the tiles that touch the lower triangle of it.</summary>
readonly unsafe struct MatMulBlocks<TLeft, TRight>(
    TLeft left, TRight right, int rows, int columns, int depth, float* c, Workers workers) : ILevelWork
    where TLeft : struct, ILeftOperand where TRight : struct, IRightOperand
{
    /// <summary>Whether the product is added to what C holds.</summary>
    public bool Add { get; init; }

    /// <summary>Whether elements above the diagonal may be left undefined.</summary>
    public bool Lower { get; init; }

    /// <summary>Floats from one row of C to the next.</summary>
    public nint Pitch { get; init; } = columns;

    public void Run<L, V>() where L : struct, ILanes<V> where V : struct
    {
        if (rows == 0)
            return;
        var height = BlockRows(L.TileRows);
        using var packed = new NativeStorage((long)height * depth * sizeof(float));
        var panels = (float*)packed.Pointer;
        for (var row = 0; row < rows; row += height)
        {
            var block = Math.Min(height, rows - row);
            var width = Lower ? Math.Min(columns, row + block) : columns;
            workers.For(depth, MatMulBlocks.Steps, new Packing<L, V>(left, panels, row, block));
            workers.For(width, Grain(width, 2 * L.Width), new Block<L, V>(this, panels, row, block));
        }
    }

    /// <summary>Rows packed at a time: whole tiles, and blocks of about equal size, since each lays out all of B again.</summary>
    int BlockRows(int tile)
    {
        var blocks = (rows + MatMulBlocks.MostRows - 1) / MatMulBlocks.MostRows;
        var even = (rows + blocks - 1) / blocks;
        return (even + tile - 1) / tile * tile;
    }

    /// <summary>
    /// Columns of one task, a multiple of the sliver: small matrices are cut finer so that every thread gets some.
    /// </summary>
    int Grain(int width, int sliver)
    {
        var grain = MatMulBlocks.Columns;
        while (grain > sliver && width / grain < 4 * workers.Count)
            grain /= 2;
        return grain;
    }

    readonly struct Packing<L, V>(TLeft left, float* panels, int row, int rows) : IRangeBody
        where L : struct, ILanes<V> where V : struct
    {
        public void Run(int start, int end)
        {
            var panel = panels + (nint)start * rows;
            for (int i = 0, tile; i < rows; i += tile, panel += tile * (end - start))
            {
                tile = MatMulTiles<L, V>.RowsOf(rows - i);
                left.Pack(row + i, tile, start, end - start, panel);
            }
        }
    }

    readonly struct Block<L, V>(MatMulBlocks<TLeft, TRight> product, float* panels, int row, int rows) : IRangeBody
        where L : struct, ILanes<V> where V : struct
    {
        public void Run(int start, int end)
        {
            var sliver = Scratch.Floats(2 * L.Width * MatMulBlocks.Steps + MatMulBlocks.MostTileFloats + TRight.ScratchFloats);
            var tile = sliver + 2 * L.Width * MatMulBlocks.Steps;
            for (var k = 0; k < product.Depth; k += MatMulBlocks.Steps)
            {
                var steps = Math.Min(MatMulBlocks.Steps, product.Depth - k);
                for (var column = start; column < end; column += 2 * L.Width)
                {
                    var width = Math.Min(2 * L.Width, end - column);
                    product.Right.Fill<L, V>(column, width, k, steps, sliver, tile + MatMulBlocks.MostTileFloats);
                    Sliver(panels + (nint)k * rows, sliver, tile, column, width, steps, product.Add || k > 0);
                }
            }
        }

        /// <summary>All tiles of one sliver.</summary>
        void Sliver(float* panel, float* sliver, float* tile, int column, int width, int steps, bool add)
        {
            for (int i = 0, height; i < rows; i += height, panel += height * steps)
            {
                height = MatMulTiles<L, V>.RowsOf(rows - i);
                if (product.Lower && column >= row + i + height)
                    continue;
                var to = product.Row(row + i) + column;
                if (width == 2 * L.Width)
                {
                    MatMulTiles<L, V>.Run(height, panel, sliver, to, product.Pitch, steps, add);
                    continue;
                }
                MatMulTiles<L, V>.Run(height, panel, sliver, tile, 2 * L.Width, steps, false);
                for (var r = 0; r < height; r++)
                    for (var j = 0; j < width; j++)
                        to[r * product.Pitch + j] = tile[r * 2 * L.Width + j] + (add ? to[r * product.Pitch + j] : 0);
            }
        }
    }

    int Depth => depth;

    TRight Right => right;

    float* Row(int row) => c + row * Pitch;
}
