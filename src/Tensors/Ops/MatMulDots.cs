using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>The rows of W for the product with few tokens.</summary>
unsafe interface IDotRows<T> where T : unmanaged
{
    /// <summary>Columns that are read at a time.</summary>
    static abstract int ChunkColumns { get; }

    /// <summary>Floats of scratch that <see cref="At"/> needs.</summary>
    static abstract int ScratchFloats { get; }

    /// <summary>Columns [column, column + columns) of four rows at most, <paramref name="stride"/> elements apart.</summary>
    T* At(int row, int rows, int column, int columns, float* scratch, out nint stride);
}

readonly unsafe struct StoredDotRows<T>(T* w, nint width) : IDotRows<T> where T : unmanaged
{
    public static int ChunkColumns => int.MaxValue;

    public static int ScratchFloats => 0;

    public T* At(int row, int rows, int column, int columns, float* scratch, out nint stride)
    {
        stride = width;
        return w + row * width + column;
    }
}

/// <summary>Packed weights: four rows are decoded chunk by chunk into the first-level cache.</summary>
readonly unsafe struct DecodedDotRows(IWeightRows w) : IDotRows<float>
{
    public static int ChunkColumns => 2048;

    // Not a power of two, so that the four rows do not share cache sets.
    public static int ScratchFloats => 4 * (ChunkColumns + 16);

    public float* At(int row, int rows, int column, int columns, float* scratch, out nint stride)
    {
        stride = ChunkColumns + 16;
        for (var r = 0; r < rows; r++)
            w.Decode(row + r, column, new Span<float>(scratch + r * stride, columns));
        return scratch;
    }
}

/// <summary>
/// y [T, N] = x [T, K]·Wᵀ for few tokens, when reading W is the cost: its rows are read once, in order, and dotted with every
/// token. For each element the arithmetic depends on K and T alone.
/// </summary>
readonly unsafe struct MatMulDots<E, T, TRows>(
    TRows w, int rows, int columns, float* x, int tokens, float* y, Workers workers) : ILevelWork
    where E : struct, IElement<T> where T : unmanaged where TRows : struct, IDotRows<T>
{
    // Elements of W in one run of rows: about 10 µs of reading.
    const int RunElements = 1 << 16;

    public void Run<L, V>() where L : struct, ILanes<V> where V : struct =>
        workers.For(rows, Math.Max(RunElements / Math.Max(columns, 1) / 4, 1) * 4, new Rows<L, V>(this));

    /// <summary>Rows [start, end) in groups of four.</summary>
    void Multiply<L, V>(int start, int end) where L : struct, ILanes<V> where V : struct
    {
        var scratch = Scratch.Floats(TRows.ScratchFloats);
        var sums = stackalloc float[16];
        for (var row = start; row < end; row += 4)
            for (int column = 0, chunk; column < columns; column += chunk)
            {
                var group = Math.Min(4, end - row);
                chunk = Math.Min(TRows.ChunkColumns, columns - column);
                var w0 = w.At(row, group, column, chunk, scratch, out var stride);
                var tile = new MatMulDotTiles<L, V, E, T>(w0, stride, group);
                for (int token = 0, width; token < tokens; token += width)
                {
                    width = MatMulDotTiles<L, V, E, T>.TokensOf(tokens - token);
                    tile.Run(width, x + token * (nint)columns + column, columns, chunk, sums);
                    for (var t = 0; t < width; t++)
                        for (var r = 0; r < group; r++)
                            Put(y + (token + t) * (nint)rows + row + r, sums[4 * t + r], column > 0);
                }
            }
    }

    static void Put(float* to, float sum, bool add) => *to = add ? *to + sum : sum;

    readonly struct Rows<L, V>(MatMulDots<E, T, TRows> product) : IRangeBody
        where L : struct, ILanes<V> where V : struct
    {
        public void Run(int start, int end) => product.Multiply<L, V>(start, end);
    }
}
