namespace Nibble.Tensors.Ops;

/// <summary>Row t of y is row ids[t] of the table.</summary>
public static class Embedding
{
    /// <param name="table">[V, D] F32, BF16 or F16.</param>
    /// <param name="ids">T row numbers.</param>
    /// <param name="y">[T, D] F32.</param>
    /// <exception cref="ShapeException">
    /// An id is no row of the table, or the shapes or types do not fit. y is then untouched.
    /// </exception>
    public static void Apply(Tensor table, ReadOnlySpan<int> ids, Tensor y)
    {
        if (table.DType is not (DType.F32 or DType.BF16 or DType.F16))
            throw new ShapeException($"Embedding: table must be F32, BF16 or F16; got table = {table}.");
        Expect.Length(table.Shape.Rank, 2);
        Expect.Type(y, DType.F32);
        Expect.Shape(y, new Shape(ids.Length, table.Columns));
        for (var t = 0; t < ids.Length; t++)
            if ((uint)ids[t] >= (uint)table.Rows)
                throw new ShapeException($"Embedding: ids[{t}] = {ids[t]} is no row of table = {table}.");

        var rows = ids.ToArray();
        Work.For(rows.Length, 0.3 * table.Columns, t => Convert.ToF32(table, (long)rows[t] * table.Columns, y.Row(t)));
    }
}
