namespace Nibble.Quant.Algorithms.Compensation.Definitions;

/// <summary>A matrix in double, for definitions only: nothing here is fast.</summary>
sealed class Matrix(int rows, int columns)
{
    readonly double[] values = new double[rows * columns];

    public int Rows => rows;

    public int Columns => columns;

    public ref double this[int row, int column] => ref values[row * columns + column];

    public Span<double> Row(int row) => values.AsSpan(row * columns, columns);

    public static Matrix Create(int rows, int columns, Func<int, int, double> element)
    {
        var result = new Matrix(rows, columns);
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
                result[i, j] = element(i, j);
        return result;
    }

    public Matrix Clone() => Create(rows, columns, (i, j) => this[i, j]);

    public Matrix Transpose() => Create(columns, rows, (i, j) => this[j, i]);

    /// <summary>A[order, order].</summary>
    public Matrix Permuted(int[] order) => Create(rows, columns, (i, j) => this[order[i], order[j]]);

    public static Matrix operator +(Matrix a, Matrix b) => Create(a.Rows, a.Columns, (i, j) => a[i, j] + b[i, j]);

    public static Matrix operator -(Matrix a, Matrix b) => Create(a.Rows, a.Columns, (i, j) => a[i, j] - b[i, j]);

    public static Matrix operator *(double factor, Matrix a) => Create(a.Rows, a.Columns, (i, j) => factor * a[i, j]);

    public static Matrix operator *(Matrix a, Matrix b)
    {
        var product = new Matrix(a.Rows, b.Columns);
        for (var i = 0; i < a.Rows; i++)
            for (var k = 0; k < a.Columns; k++)
            {
                var (factor, from, to) = (a[i, k], k * b.Columns, i * b.Columns);
                for (var j = 0; j < b.Columns; j++)
                    product.values[to + j] += factor * b.values[from + j];
            }
        return product;
    }

    /// <summary>Σ aᵢⱼ·bᵢⱼ.</summary>
    public static double Inner(Matrix a, Matrix b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Rows; i++)
            for (var j = 0; j < a.Columns; j++)
                sum += a[i, j] * b[i, j];
        return sum;
    }

    /// <summary>U, upper triangular with UᵀU = A⁻¹: the reversed inverse of the Cholesky factor of the reversed matrix.</summary>
    public Matrix InverseFactor()
    {
        var (n, factor, upper) = (rows, new Matrix(rows, rows), new Matrix(rows, rows));
        var inverse = new Matrix(rows, rows); // transposed
        for (var i = 0; i < n; i++)
            for (var j = 0; j <= i; j++)
            {
                var sum = this[n - 1 - i, n - 1 - j];
                var (left, right) = (i * n, j * n);
                for (var k = 0; k < j; k++)
                    sum -= factor.values[left + k] * factor.values[right + k];
                factor[i, j] = i == j ? Math.Sqrt(sum) : sum / factor[j, j];
            }
        for (var i = 0; i < n; i++)
            for (var j = 0; j <= i; j++)
            {
                var sum = i == j ? 1.0 : 0;
                var (left, right) = (i * n, j * n);
                for (var k = j; k < i; k++)
                    sum -= factor.values[left + k] * inverse.values[right + k];
                upper[n - 1 - i, n - 1 - j] = inverse[j, i] = sum / factor[i, i];
            }
        return upper;
    }
}
