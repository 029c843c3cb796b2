using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>The left operand A [M, K] of a blocked product, wherever its numbers are.</summary>
unsafe interface ILeftOperand
{
    /// <summary>Element (row + i, k + s) goes to panel[s · rows + i].</summary>
    void Pack(int row, int rows, int k, int steps, float* panel);
}

/// <summary>The right operand B [K, N] of a blocked product.</summary>
unsafe interface IRightOperand
{
    /// <summary>Floats <see cref="Fill"/> needs for itself.</summary>
    static abstract int ScratchFloats { get; }

    /// <summary>
    /// Element (k + s, column + j) goes to sliver[s · 2·Width + j] for j below <paramref name="columns"/>; the rest of the
    /// sliver is zero.
    /// </summary>
    void Fill<L, V>(int column, int columns, int k, int steps, float* sliver, float* scratch)
        where L : struct, ILanes<V> where V : struct;
}

/// <summary>A is stored row by row.</summary>
readonly unsafe struct LeftRows(float* a, nint stride) : ILeftOperand
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Pack(int row, int rows, int k, int steps, float* panel)
    {
        var source = a + row * stride + k;
        var i = 0;
        for (; i + 4 <= rows; i += 4)
        {
            float* r0 = source + i * stride, r1 = r0 + stride, r2 = r1 + stride, r3 = r2 + stride;
            var to = panel + i;
            for (var s = 0; s < steps; s++, to += rows)
                Vector128.Create(r0[s], r1[s], r2[s], r3[s]).Store(to);
        }
        for (; i < rows; i++)
            for (var s = 0; s < steps; s++)
                panel[(nint)s * rows + i] = source[i * stride + s];
    }
}

/// <summary>A is Xᵀ for an X [K, M] stored row by row.</summary>
readonly unsafe struct LeftColumns(float* x, nint stride) : ILeftOperand
{
    public void Pack(int row, int rows, int k, int steps, float* panel)
    {
        var source = x + k * stride + row;
        for (var s = 0; s < steps; s++, source += stride, panel += rows)
            Unsafe.CopyBlockUnaligned(panel, source, (uint)(rows * sizeof(float)));
    }
}

/// <summary>B is stored row by row.</summary>
readonly unsafe struct RightRows(float* b, nint stride) : IRightOperand
{
    public static int ScratchFloats => 0;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<L, V>(int column, int columns, int k, int steps, float* sliver, float* scratch)
        where L : struct, ILanes<V> where V : struct
    {
        var source = b + k * stride + column;
        if (columns == 2 * L.Width)
            for (var s = 0; s < steps; s++, source += stride, sliver += 2 * L.Width)
            {
                L.Store(L.Load(source), sliver);
                L.Store(L.Load(source + L.Width), sliver + L.Width);
            }
        else
            for (var s = 0; s < steps; s++, source += stride, sliver += 2 * L.Width)
                for (var j = 0; j < 2 * L.Width; j++)
                    sliver[j] = j < columns ? source[j] : 0;
    }
}

/// <summary>B is Wᵀ for a weight W [N, K] stored row by row in some element type: transposed and widened on the way.</summary>
readonly unsafe struct RightWeight<E, T>(T* w, nint stride) : IRightOperand
    where E : struct, IElement<T> where T : unmanaged
{
    public static int ScratchFloats => 0;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill<L, V>(int column, int columns, int k, int steps, float* sliver, float* scratch)
        where L : struct, ILanes<V> where V : struct
    {
        for (var half = 0; half < 2; half++, column += L.Width, columns -= L.Width, sliver += L.Width)
        {
            var source = w + column * stride + k;
            var s = 0;
            if (columns >= L.Width)
                for (; s + L.Width <= steps; s += L.Width)
                    L.Transpose<E, T>(source + s, stride, sliver + (nint)s * 2 * L.Width, 2 * L.Width);
            for (; s < steps; s++)
                for (var j = 0; j < L.Width; j++)
                    sliver[(nint)s * 2 * L.Width + j] = j < columns ? E.Load(source + j * stride + s) : 0;
        }
    }
}

/// <summary>B is Wᵀ for packed weights: a sliver of rows is decoded, then transposed.</summary>
readonly unsafe struct RightDecoded(IWeightRows w) : IRightOperand
{
    // Not a power of two, so that the rows of a sliver do not share cache sets.
    const int Stride = MatMulBlocks.Steps + 16;

    public static int ScratchFloats => MatMulBlocks.MostSliverColumns * Stride;

    public void Fill<L, V>(int column, int columns, int k, int steps, float* sliver, float* scratch)
        where L : struct, ILanes<V> where V : struct
    {
        for (var j = 0; j < columns; j++)
            w.Decode(column + j, k, new Span<float>(scratch + j * Stride, steps));
        new RightWeight<F32Element, float>(scratch, Stride).Fill<L, V>(0, columns, 0, steps, sliver, scratch);
    }
}
