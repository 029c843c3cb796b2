using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>
/// Products that are added to a block of a matrix. The block must not overlap an argument. Results are the same whatever the number
/// of threads.
/// </summary>
public static unsafe class BlockProduct
{
    /// <summary>C += A·B with a [M, K], b [K, N] and c [M, N].</summary>
    /// <exception cref="ShapeException">Shapes that do not fit.</exception>
    public static void Add(Block a, Block b, Block c) => Add(a, b, c, HostTarget.Default);

    /// <summary>C += A·Bᵀ with a [M, K], b [N, K] and c [M, N].</summary>
    /// <param name="lower">C is square and what becomes of the elements above its diagonal does not matter.</param>
    /// <exception cref="ShapeException">Shapes that do not fit.</exception>
    public static void AddTransposed(Block a, Block b, Block c, bool lower = false) =>
        AddTransposed(a, b, c, lower, HostTarget.Default);

    internal static void Add(Block a, Block b, Block c, HostTarget target)
    {
        if (a.Columns != b.Rows || c.Rows != a.Rows || c.Columns != b.Columns)
            throw new ShapeException($"BlockProduct: c += a·b does not fit; got a = {a}, b = {b}, c = {c}.");
        if (a.Columns > 0)
            Levels.Run(target.Level, new MatMulBlocks<LeftRows, RightRows>(
                new LeftRows(a.Pointer, a.Pitch), new RightRows(b.Pointer, b.Pitch),
                c.Rows, c.Columns, a.Columns, c.Pointer, target.Workers)
            {
                Add = true,
                Pitch = c.Pitch,
            });
        KeepAlive(a, b, c);
    }

    internal static void AddTransposed(Block a, Block b, Block c, bool lower, HostTarget target)
    {
        if (a.Columns != b.Columns || c.Rows != a.Rows || c.Columns != b.Rows || lower && c.Rows != c.Columns)
            throw new ShapeException($"BlockProduct: c += a·bᵀ does not fit; got a = {a}, b = {b}, c = {c}.");
        if (a.Columns > 0)
            Levels.Run(target.Level, new MatMulBlocks<LeftRows, RightWeight<F32Element, float>>(
                new LeftRows(a.Pointer, a.Pitch), new RightWeight<F32Element, float>(b.Pointer, b.Pitch),
                c.Rows, c.Columns, a.Columns, c.Pointer, target.Workers)
            {
                Add = true,
                Lower = lower,
                Pitch = c.Pitch,
            });
        KeepAlive(a, b, c);
    }

    static void KeepAlive(Block a, Block b, Block c)
    {
        GC.KeepAlive(a.Matrix);
        GC.KeepAlive(b.Matrix);
        GC.KeepAlive(c.Matrix);
    }
}
