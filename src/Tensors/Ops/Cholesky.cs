namespace Nibble.Tensors.Ops;

/// <summary>A = L·Lᵀ for a symmetric positive definite A; L is lower triangular.</summary>
public static unsafe class Cholesky
{
    /// <summary>Columns factored at a time; everything beside them is matrix products.</summary>
    internal const int Width = 128;

    /// <summary>Replaces A by L, and what is above the diagonal by zeros.</summary>
    /// <param name="a">[n, n] F32. Only its lower triangle is read.</param>
    /// <returns>False where A is not positive definite or has a NaN; <paramref name="a"/> then holds nothing of use.</returns>
    /// <exception cref="ShapeException">No square F32 matrix.</exception>
    public static bool Factor(Tensor a)
    {
        Expect.Type(a, DType.F32);
        Expect.Shape(a, new Shape(a.Columns, a.Columns));
        var n = a.Columns;
        using var diagonal = Tensor.Empty(Width, Width);
        using var inverse = Tensor.Empty(Width, Width);
        using var panels = Tensor.Empty(2L * n, Width);
        for (var k = 0; k < n; k += Width)
        {
            var width = Math.Min(Width, n - k);
            var below = n - k - width;
            var factor = new Block(diagonal, 0, 0, width, width);
            Copy(new Block(a, k, k, width, width), factor);
            if (!FactorSmall(factor))
                return false;
            Copy(factor, new Block(a, k, k, width, width));
            if (below == 0)
                break;

            // L21 = A21·L11⁻ᵀ, a product once L11 is inverted; then A22 -= L21·L21ᵀ.
            TriangularInverse.Small(factor, new Block(inverse, 0, 0, width, width));
            var panel = new Block(panels, 0, 0, below, width);
            var minus = new Block(panels, n, 0, below, width);
            var source = new Block(a, k + width, k, below, width);
            Clear(panel);
            BlockProduct.AddTransposed(source, new Block(inverse, 0, 0, width, width), panel);
            Copy(panel, source);
            Copy(panel, minus, negate: true);
            BlockProduct.AddTransposed(minus, panel, new Block(a, k + width, k + width, below, below), lower: true);
        }
        for (var row = 0; row < n; row++)
            a.Row(row)[(row + 1)..].Clear();
        GC.KeepAlive(a); // a span does not hold its storage
        return true;
    }

    /// <summary>l[i, j] = (a[i, j] − Σ l[i, k]·l[j, k] over k &lt; j) / l[j, j], the diagonal being the root of what is left.</summary>
    /// <returns>False where a pivot is not positive.</returns>
    internal static bool Definition(ReadOnlySpan<double> a, int n, Span<double> l)
    {
        l.Clear();
        for (var i = 0; i < n; i++)
            for (var j = 0; j <= i; j++)
            {
                var sum = a[i * n + j];
                for (var k = 0; k < j; k++)
                    sum -= l[i * n + k] * l[j * n + k];
                if (j < i)
                    l[i * n + j] = sum / l[j * n + j];
                else if (sum > 0)
                    l[i * n + i] = Math.Sqrt(sum);
                else
                    return false;
            }
        return true;
    }

    /// <summary>The same in place for a block that stays in cache; above the diagonal zeros are written.</summary>
    static bool FactorSmall(Block a)
    {
        for (var i = 0; i < a.Rows; i++)
        {
            var row = Row(a, i);
            for (var j = 0; j < i; j++)
                row[j] = (row[j] - TensorPrimitives.Dot<float>(row[..j], Row(a, j)[..j])) / Row(a, j)[j];
            var pivot = row[i] - TensorPrimitives.Dot<float>(row[..i], row[..i]);
            if (!(pivot > 0 && float.IsFinite(pivot)))
                return false;
            row[i] = MathF.Sqrt(pivot);
            row[(i + 1)..].Clear();
        }
        return true;
    }

    internal static Span<float> Row(Block block, int row) => new(block.Pointer + row * block.Pitch, block.Columns);

    internal static void Clear(Block block)
    {
        for (var row = 0; row < block.Rows; row++)
            Row(block, row).Clear();
    }

    internal static void Copy(Block from, Block to, bool negate = false)
    {
        for (var row = 0; row < from.Rows; row++)
            if (negate)
                TensorPrimitives.Negate<float>(Row(from, row), Row(to, row));
            else
                Row(from, row).CopyTo(Row(to, row));
    }
}
