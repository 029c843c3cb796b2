namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>Right singular vectors in double, largest singular value first; their signs are arbitrary.</summary>
static class SingularVectors
{
    /// <summary>Two rows of n numbers count as orthogonal when |a·b| is at most n times this times |a|·|b|.</summary>
    const double Orthogonal = 2.2e-16;

    const int MostSweeps = 40; // quadratic convergence needs fewer than ten
    const int ExtraVectors = 8;
    const int KrylovBlocks = 8;

    /// <summary>
    /// All of them, of which the first <paramref name="count"/> rows are returned: one-sided Jacobi rotations (M. Hestenes, 1958)
    /// of the shorter side. Rows are rotated until they are orthogonal; R·W = S·Vᵀ.
    /// </summary>
    public static DoubleMatrix Right(DoubleMatrix matrix, int count)
    {
        var tall = matrix.Rows > matrix.Columns;
        var rotated = tall ? matrix.Transposed() : matrix.Take(matrix.Rows);
        var lengths = Orthogonalise(rotated);
        rotated = rotated.Take(count);
        Normalise(rotated, lengths);
        if (!tall)
            return rotated;
        var right = rotated.Times(matrix); // Uᵀ·W = S·Vᵀ
        Normalise(right, lengths);
        return right;
    }

    /// <summary>
    /// The first <paramref name="count"/> of a large matrix by a block Krylov space of WᵀW from a random start (C. Musco and
    /// C. Musco, arXiv:1504.05477, algorithm 2). What they capture of W is within a hair of the best where singular values lie
    /// close together, and exact to rounding where they fall off.
    /// </summary>
    public static DoubleMatrix LeadingRight(DoubleMatrix matrix, int count, int seed = 1)
    {
        var width = Math.Min(count + ExtraVectors, matrix.Columns / KrylovBlocks);
        width = Math.Max(width, count);
        var steps = Math.Max(1, Math.Min(KrylovBlocks, Math.Min(matrix.Rows, matrix.Columns) / width));
        var basis = new DoubleMatrix(width * steps, matrix.Columns);
        var next = Random(width, matrix.Rows, seed).Times(matrix);
        var filled = 0;
        for (var step = 0; step < steps; step++)
        {
            for (var row = 0; row < width; row++)
                if (Orthonormal(next.Row(row), basis, filled))
                    next.Row(row).CopyTo(basis.Row(filled++));
            if (step + 1 < steps)
                next = next.TimesTransposed(matrix).Times(matrix);
        }
        var found = new DoubleMatrix(count, matrix.Columns); // zeros where the rank of W is smaller
        if (filled == 0)
            return found;
        basis = basis.Take(filled);
        var within = Right(matrix.TimesTransposed(basis), Math.Min(count, filled)); // of W·Qᵀ, Q the basis
        var vectors = within.Times(basis);
        for (var row = 0; row < vectors.Rows; row++)
            vectors.Row(row).CopyTo(found.Row(row));
        return found;
    }

    /// <summary>Rotates pairs of rows until all are orthogonal, sorts them by length, and returns the lengths.</summary>
    static double[] Orthogonalise(DoubleMatrix rows)
    {
        for (var sweep = 0; sweep < MostSweeps; sweep++)
        {
            var rotations = 0;
            for (var p = 0; p < rows.Rows - 1; p++)
                for (var q = p + 1; q < rows.Rows; q++)
                    if (Rotate(rows.Row(p), rows.Row(q)))
                        rotations++;
            if (rotations == 0)
                break;
        }
        var lengths = new double[rows.Rows];
        for (var row = 0; row < lengths.Length; row++)
            lengths[row] = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(rows.Row(row)));
        rows.SortRowsDescending(lengths);
        return lengths;
    }

    static bool Rotate(Span<double> a, Span<double> b)
    {
        var (aa, bb) = (TensorPrimitives.SumOfSquares<double>(a), TensorPrimitives.SumOfSquares<double>(b));
        var ab = TensorPrimitives.Dot<double>(a, b);
        if (Math.Abs(ab) <= Orthogonal * Math.Max(16, a.Length) * Math.Sqrt(aa) * Math.Sqrt(bb))
            return false;
        var tau = (bb - aa) / (2 * ab);
        var tangent = Math.CopySign(1, tau) / (Math.Abs(tau) + Math.Sqrt(1 + tau * tau));
        var cosine = 1 / Math.Sqrt(1 + tangent * tangent);
        var sine = cosine * tangent;
        for (var i = 0; i < a.Length; i++)
            (a[i], b[i]) = (cosine * a[i] - sine * b[i], sine * a[i] + cosine * b[i]);
        return true;
    }

    /// <summary>Rows to length 1; those of a length that is only rounding become zeros.</summary>
    static void Normalise(DoubleMatrix rows, double[] lengths)
    {
        for (var row = 0; row < rows.Rows; row++)
            if (lengths[row] > lengths[0] * 1e-14)
                TensorPrimitives.Divide(rows.Row(row), lengths[row], rows.Row(row));
            else
                rows.Row(row).Clear();
    }

    /// <summary>
    /// Takes the parts along the basis out of a vector, twice, and scales it to length 1. False where nothing is left.
    /// </summary>
    static bool Orthonormal(Span<double> vector, DoubleMatrix basis, int filled)
    {
        var before = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(vector));
        for (var pass = 0; pass < 2; pass++)
            for (var row = 0; row < filled; row++)
            {
                var along = TensorPrimitives.Dot<double>(vector, basis.Row(row));
                TensorPrimitives.MultiplyAdd(basis.Row(row), -along, vector, vector);
            }
        var after = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(vector));
        if (!(after > before * 1e-12))
        {
            vector.Clear();
            return false;
        }
        TensorPrimitives.Divide(vector, after, vector);
        return true;
    }

    static DoubleMatrix Random(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        var result = new DoubleMatrix(rows, columns);
        for (var row = 0; row < rows; row++)
            foreach (ref var value in result.Row(row))
                value = random.NextDouble() - 0.5;
        return result;
    }
}
