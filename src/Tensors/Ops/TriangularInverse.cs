namespace Nibble.Tensors.Ops;

/// <summary>M = L⁻¹ for a lower triangular L.</summary>
public static class TriangularInverse
{
    /// <summary>Columns of M that are computed by one product: zeros above the diagonal are multiplied only inside such a strip.</summary>
    const int Strip = 512;

    /// <summary>Replaces L by its inverse.</summary>
    /// <param name="l">[n, n] F32, lower triangular with a diagonal without zeros; above the diagonal it holds zeros.</param>
    /// <exception cref="ShapeException">No square F32 matrix.</exception>
    public static void Apply(Tensor l)
    {
        Expect.Type(l, DType.F32);
        Expect.Shape(l, new Shape(l.Columns, l.Columns));
        var n = l.Columns;
        using var inverse = Tensor.Empty(Cholesky.Width, Cholesky.Width);
        using var product = Tensor.Empty(Cholesky.Width, n);
        for (var i = 0; i < n; i += Cholesky.Width)
        {
            // Rows i of M: [-Lᵢᵢ⁻¹·Lᵢ·M above, Lᵢᵢ⁻¹], where the rows above are inverted already.
            var width = Math.Min(Cholesky.Width, n - i);
            var diagonal = new Block(inverse, 0, 0, width, width);
            Small(new Block(l, i, i, width, width), diagonal);
            Cholesky.Copy(diagonal, new Block(l, i, i, width, width));
            Cholesky.Clear(new Block(product, 0, 0, width, n));
            for (var c = 0; c < i; c += Strip)
                BlockProduct.Add(new Block(l, i, c, width, i - c), new Block(l, c, c, i - c, Math.Min(Strip, i - c)),
                    new Block(product, 0, c, width, Math.Min(Strip, i - c)));
            Cholesky.Copy(diagonal, diagonal, negate: true);
            var left = new Block(l, i, 0, width, i);
            Cholesky.Clear(left);
            BlockProduct.Add(diagonal, new Block(product, 0, 0, width, i), left);
        }
        GC.KeepAlive(l); // a span does not hold its storage
    }

    /// <summary>m[i, j] = ((i = j) − Σₖ l[i, k]·m[k, j]) / l[i, i] with k from j to i − 1.</summary>
    internal static void Definition(ReadOnlySpan<double> l, int n, Span<double> m)
    {
        m.Clear();
        for (var i = 0; i < n; i++)
            for (var j = 0; j <= i; j++)
            {
                var sum = i == j ? 1.0 : 0;
                for (var k = j; k < i; k++)
                    sum -= l[i * n + k] * m[k * n + j];
                m[i * n + j] = sum / l[i * n + i];
            }
    }

    /// <summary>The same for a block that stays in cache, row by row.</summary>
    internal static void Small(Block l, Block m)
    {
        for (var i = 0; i < l.Rows; i++)
        {
            var source = Cholesky.Row(l, i);
            var row = Cholesky.Row(m, i);
            row.Clear();
            for (var k = 0; k < i; k++)
                TensorPrimitives.MultiplyAdd(Cholesky.Row(m, k)[..(k + 1)], source[k], row[..(k + 1)], row[..(k + 1)]);
            TensorPrimitives.Multiply(row[..i], -1 / source[i], row[..i]);
            row[i] = 1 / source[i];
        }
    }
}
