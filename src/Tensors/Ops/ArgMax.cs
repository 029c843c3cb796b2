namespace Nibble.Tensors.Ops;

/// <summary>The index of the largest value, the first of equals. NaN counts as larger than every number, as in PyTorch.</summary>
public static class ArgMax
{
    /// <exception cref="ShapeException">There are no values.</exception>
    public static int Apply(ReadOnlySpan<float> values)
    {
        if (values.IsEmpty)
            throw new ShapeException("ArgMax: values must have at least one element; got none.");
        var max = Floats.Width switch
        {
            16 => Reduction.Max<Floats16>(values),
            8 => Reduction.Max<Floats8>(values),
            _ => Reduction.Max<Floats4>(values),
        };
        for (var i = 0; i < values.Length; i++)
            if (values[i] == max || float.IsNaN(values[i]))
                return i;
        throw new InvalidOperationException("The maximum is one of the values.");
    }

    /// <param name="x">[…, D] F32.</param>
    /// <returns>One index per row.</returns>
    /// <exception cref="ShapeException">There are no columns, or x is not F32.</exception>
    public static int[] Apply(Tensor x)
    {
        Expect.Type(x, DType.F32);
        var result = new int[x.Rows];
        Work.For(result.Length, 0.5 * x.Columns, row => result[row] = Apply(x.Row(row)));
        return result;
    }

    internal static int Definition(ReadOnlySpan<float> values)
    {
        var best = 0;
        for (var i = 1; i < values.Length; i++)
            if (values[i] > values[best] || float.IsNaN(values[i]) && !float.IsNaN(values[best]))
                best = i;
        return best;
    }
}
