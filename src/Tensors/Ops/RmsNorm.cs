using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = x / √(mean(x²) + eps) · w over the last dimension. arXiv:1910.07467, equation 4.</summary>
public static class RmsNorm
{
    /// <param name="x">[…, D] F32. Squares are taken in F32: magnitudes above 1e19 give zeros, as in other frameworks.</param>
    /// <param name="weight">[D] F32.</param>
    /// <param name="y">The shape of <paramref name="x"/>; may be x itself.</param>
    /// <param name="onePlus">Multiply by 1 + w, as checkpoints of the Gemma family store it.</param>
    /// <exception cref="ShapeException">The shapes do not fit, or a tensor is not F32.</exception>
    public static void Apply(Tensor x, Tensor weight, float eps, Tensor y, bool onePlus = false)
    {
        Expect.Type(x, DType.F32);
        Expect.Type(weight, DType.F32);
        Expect.Elements(weight, x.Columns);
        Expect.Same(y, x);
        Work.For(x.Rows, 0.2 * x.Columns, row => Host(x.Row(row), weight.Span<float>(), eps, y.Row(row), onePlus));
    }

    internal static void Definition(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, double eps, Span<double> y, bool onePlus)
    {
        var squares = 0.0;
        foreach (var value in x)
            squares += (double)value * value;

        var scale = 1 / Math.Sqrt(squares / x.Length + eps);
        for (var i = 0; i < x.Length; i++)
            y[i] = x[i] * scale * (onePlus ? 1.0 + weight[i] : weight[i]);
    }

    internal static void Host(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float eps, Span<float> y, bool onePlus)
    {
        if (Floats.Width == 16)
            Host<Floats16>(x, weight, eps, y, onePlus);
        else if (Floats.Width == 8)
            Host<Floats8>(x, weight, eps, y, onePlus);
        else
            Host<Floats4>(x, weight, eps, y, onePlus);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Host<V>(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float eps, Span<float> y, bool onePlus)
        where V : struct, IFloats<V>
    {
        var scale = (float)(1 / Math.Sqrt((double)Reduction.SumOfSquares<V>(x, 0) / x.Length + eps));
        var offset = onePlus ? 1f : 0f;

        ref var from = ref MemoryMarshal.GetReference(x);
        ref var by = ref MemoryMarshal.GetReference(weight);
        ref var to = ref MemoryMarshal.GetReference(y);
        V scales = V.Broadcast(scale), offsets = V.Broadcast(offset);
        var i = 0;
        for (; i <= x.Length - V.Count; i += V.Count)
            V.Store(V.Load(in from, i) * scales * (V.Load(in by, i) + offsets), ref to, i);
        for (; i < x.Length; i++)
            y[i] = x[i] * scale * (weight[i] + offset);
    }
}
