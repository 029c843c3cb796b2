namespace Nibble.Tensors.Ops;

/// <summary>A rectangle of an F32 matrix, in place: what blocked factorizations work on.</summary>
/// <exception cref="ShapeException">The tensor is no F32 matrix, or the rectangle is not inside it.</exception>
public readonly record struct Block
{
    public Block(Tensor matrix, int row, int column, int rows, int columns)
    {
        Expect.Type(matrix, DType.F32);
        Expect.Matrix(matrix);
        if (row < 0 || rows < 0 || row > matrix.Shape[0] - rows || column < 0 || columns < 0 || column > matrix.Columns - columns)
            throw new ShapeException($"Block: {matrix} has no {rows} x {columns} elements from row {row}, column {column}.");
        (Matrix, Row, Column, Rows, Columns) = (matrix, row, column, rows, columns);
    }

    /// <summary>All of a matrix.</summary>
    public static implicit operator Block(Tensor matrix) => new(matrix, 0, 0, (int)matrix.Shape[0], matrix.Columns);

    public Tensor Matrix { get; }

    public int Row { get; }

    public int Column { get; }

    public int Rows { get; }

    public int Columns { get; }

    internal unsafe float* Pointer => (float*)Matrix.Pointer + (nint)Row * Matrix.Columns + Column;

    internal nint Pitch => Matrix.Columns;

    public override string ToString() => $"[{Rows}, {Columns}] at ({Row}, {Column}) of {Matrix}";
}
