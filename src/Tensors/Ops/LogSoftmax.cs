namespace Nibble.Tensors.Ops;

/// <summary>y = x - max x - ln Σ e^(x - max x) over the last dimension.</summary>
/// <remarks>A row of negative infinities stays one (PyTorch: NaN). A NaN or +∞ makes its row NaN.</remarks>
public static class LogSoftmax
{
    /// <param name="x">[…, D] F32.</param>
    /// <param name="y">The shape of <paramref name="x"/>; may be x itself.</param>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Apply(Tensor x, Tensor y)
    {
        Expect.Type(x, DType.F32);
        Expect.Same(y, x);
        Work.For(x.Rows, 2.0 * x.Columns, row => Host(x.Row(row), y.Row(row)));
    }

    internal static void Definition(ReadOnlySpan<float> x, Span<double> y)
    {
        double max = double.NegativeInfinity, sum = 0;
        foreach (var value in x)
            max = Math.Max(max, value);
        foreach (var value in x)
            sum += Math.Exp(value - max);
        for (var i = 0; i < x.Length; i++)
            y[i] = double.IsNegativeInfinity(max) ? max : x[i] - max - Math.Log(sum);
    }

    internal static void Host(ReadOnlySpan<float> x, Span<float> y)
    {
        var mass = LogSumExp.Of(x);
        if (double.IsNegativeInfinity(mass.Max))
            y.Fill(float.NegativeInfinity);
        else
        {
            TensorPrimitives.Subtract(x, (float)mass.Max, y);
            TensorPrimitives.Subtract(y, (float)mass.LogSum, y);
        }
    }
}
