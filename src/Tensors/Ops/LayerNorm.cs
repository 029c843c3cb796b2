using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = (x - mean(x)) / √(var(x) + eps) · w + b over the last dimension. arXiv:1607.06450, equation 4.</summary>
public static class LayerNorm
{
    /// <param name="x">[…, D] F32.</param>
    /// <param name="weight">[D] F32.</param>
    /// <param name="bias">[D] F32, or null for none.</param>
    /// <param name="y">The shape of <paramref name="x"/>; may be x itself.</param>
    /// <exception cref="ShapeException">The shapes do not fit, or a tensor is not F32.</exception>
    public static void Apply(Tensor x, Tensor weight, Tensor? bias, float eps, Tensor y)
    {
        Expect.Type(x, DType.F32);
        Expect.Type(weight, DType.F32);
        Expect.Elements(weight, x.Columns);
        Expect.Same(y, x);
        if (bias is not null)
        {
            Expect.Type(bias, DType.F32);
            Expect.Elements(bias, x.Columns);
        }
        Work.For(x.Rows, 0.3 * x.Columns, row =>
            Host(x.Row(row), weight.Span<float>(), bias is null ? [] : bias.Span<float>(), eps, y.Row(row)));
    }

    /// <param name="bias">Empty for none.</param>
    internal static void Definition(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, double eps,
        Span<double> y)
    {
        double mean = 0, variance = 0;
        foreach (var value in x)
            mean += (double)value / x.Length;
        foreach (var value in x)
            variance += (value - mean) * (value - mean) / x.Length;

        for (var i = 0; i < x.Length; i++)
            y[i] = (x[i] - mean) / Math.Sqrt(variance + eps) * weight[i] + (bias.IsEmpty ? 0 : bias[i]);
    }

    internal static void Host(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float eps,
        Span<float> y)
    {
        if (Floats.Width == 16)
            Host<Floats16>(x, weight, bias, eps, y);
        else if (Floats.Width == 8)
            Host<Floats8>(x, weight, bias, eps, y);
        else
            Host<Floats4>(x, weight, bias, eps, y);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Host<V>(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, ReadOnlySpan<float> bias, float eps,
        Span<float> y)
        where V : struct, IFloats<V>
    {
        // The sum of the deviations from a rounded mean is what the rounding lost; it matters where the mean is large.
        var mean = Reduction.Sum<V>(x, 0) / x.Length;
        var lost = Reduction.Sum<V>(x, mean) / x.Length;
        var variance = (double)Reduction.SumOfSquares<V>(x, mean) / x.Length - (double)lost * lost;
        var scale = (float)(1 / Math.Sqrt(variance + eps));

        ref var from = ref MemoryMarshal.GetReference(x);
        ref var by = ref MemoryMarshal.GetReference(weight);
        ref var to = ref MemoryMarshal.GetReference(y);
        V means = V.Broadcast(mean), losts = V.Broadcast(lost), scales = V.Broadcast(scale);
        var i = 0;
        for (; i <= x.Length - V.Count; i += V.Count)
            V.Store((V.Load(in from, i) - means - losts) * scales * V.Load(in by, i), ref to, i);
        for (; i < x.Length; i++)
            y[i] = (x[i] - mean - lost) * scale * weight[i];
        if (!bias.IsEmpty)
            TensorPrimitives.Add(y, bias, y);
    }
}
