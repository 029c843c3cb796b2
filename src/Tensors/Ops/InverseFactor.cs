namespace Nibble.Tensors.Ops;

/// <summary>
/// U, upper triangular with UᵀU = H⁻¹: what GPTQ reads its corrections from (arXiv:2210.17323, section 3.3, step 3).
/// H with rows and columns reversed is L·Lᵀ; L⁻¹ reversed again is U. This never forms H⁻¹.
/// </summary>
public static class InverseFactor
{
    /// <param name="h">[n, n] F32, symmetric.</param>
    /// <param name="u">[n, n] F32; may be h itself.</param>
    /// <returns>False where H is not positive definite or has a NaN; <paramref name="u"/> then holds nothing of use.</returns>
    /// <exception cref="ShapeException">Shapes or types that do not fit.</exception>
    public static bool Upper(Tensor h, Tensor u)
    {
        Expect.Shape(h, new Shape(h.Columns, h.Columns));
        Expect.Same(u, h);
        if (!ReferenceEquals(h, u))
            for (var row = 0; row < h.Rows; row++)
                h.Row(row).CopyTo(u.Row(row));
        Reverse(u);
        if (!Cholesky.Factor(u))
            return false;
        TriangularInverse.Apply(u);
        Reverse(u);
        GC.KeepAlive(h); // a span does not hold its storage
        GC.KeepAlive(u);
        return true;
    }

    /// <summary>Rows and columns in the opposite order.</summary>
    static void Reverse(Tensor a)
    {
        var n = a.Columns;
        for (var row = 0; row < (n + 1) / 2; row++)
        {
            var top = a.Row(row);
            var bottom = a.Row(n - 1 - row);
            top.Reverse();
            if (row == n - 1 - row)
                break;
            bottom.Reverse();
            for (var column = 0; column < n; column++)
                (top[column], bottom[column]) = (bottom[column], top[column]);
        }
    }
}
