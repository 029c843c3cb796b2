using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Nibble.Tensors.Ops;

/// <summary>
/// Back through <see cref="RmsNorm"/>: with s = 1 / √(mean(x²) + eps), dx = s · (w ⊙ dy - x · s² · mean(w ⊙ dy ⊙ x)).
/// </summary>
public static class RmsNormGradient
{
    /// <param name="x">[…, D] F32: what went in.</param>
    /// <param name="weight">[D] F32.</param>
    /// <param name="dy">The shape of <paramref name="x"/>.</param>
    /// <param name="dx">The shape of <paramref name="x"/>; may be either input.</param>
    /// <param name="onePlus">The norm multiplies by 1 + w.</param>
    /// <exception cref="ShapeException">The shapes do not fit, or a tensor is not F32.</exception>
    public static void Apply(Tensor x, Tensor weight, float eps, Tensor dy, Tensor dx, bool onePlus = false)
    {
        Expect.Type(x, DType.F32);
        Expect.Type(weight, DType.F32);
        Expect.Elements(weight, x.Columns);
        Expect.Same(dy, x);
        Expect.Same(dx, x);
        Work.For(x.Rows, 0.5 * x.Columns, row => Host(x.Row(row), weight.Span<float>(), eps, dy.Row(row), dx.Row(row), onePlus));
    }

    internal static void Definition(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, double eps, ReadOnlySpan<float> dy, Span<double> dx, bool onePlus)
    {
        double squares = 0, along = 0;
        for (var i = 0; i < x.Length; i++)
        {
            squares += (double)x[i] * x[i];
            along += (weight[i] + (onePlus ? 1.0 : 0)) * dy[i] * x[i];
        }
        var scale = 1 / Math.Sqrt(squares / x.Length + eps);
        for (var i = 0; i < x.Length; i++)
            dx[i] = scale * ((weight[i] + (onePlus ? 1.0 : 0)) * dy[i] - x[i] * scale * scale * along / x.Length);
    }

    internal static void Host(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float eps, ReadOnlySpan<float> dy, Span<float> dx, bool onePlus)
    {
        if (Floats.Width == 16)
            Host<Floats16>(x, weight, eps, dy, dx, onePlus);
        else if (Floats.Width == 8)
            Host<Floats8>(x, weight, eps, dy, dx, onePlus);
        else
            Host<Floats4>(x, weight, eps, dy, dx, onePlus);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Host<V>(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float eps, ReadOnlySpan<float> dy, Span<float> dx, bool onePlus)
        where V : struct, IFloats<V>
    {
        var scale = 1 / Math.Sqrt((double)Reduction.SumOfSquares<V>(x, 0) / x.Length + eps);
        var offset = onePlus ? 1f : 0f;

        ref var input = ref MemoryMarshal.GetReference(x);
        ref var by = ref MemoryMarshal.GetReference(weight);
        ref var from = ref MemoryMarshal.GetReference(dy);
        ref var to = ref MemoryMarshal.GetReference(dx);
        V sums = V.Broadcast(0), offsets = V.Broadcast(offset);
        var i = 0;
        for (; i <= x.Length - V.Count; i += V.Count)
            sums = V.MultiplyAdd((V.Load(in by, i) + offsets) * V.Load(in from, i), V.Load(in input, i), sums);
        var along = V.Sum(sums);
        for (; i < x.Length; i++)
            along += (weight[i] + offset) * dy[i] * x[i];

        var back = (float)(-scale * scale * scale * along / x.Length);
        V scales = V.Broadcast((float)scale), backs = V.Broadcast(back);
        for (i = 0; i <= x.Length - V.Count; i += V.Count)
            V.Store(V.MultiplyAdd((V.Load(in by, i) + offsets) * V.Load(in from, i), scales, V.Load(in input, i) * backs), ref to, i);
        for (; i < x.Length; i++)
            dx[i] = (weight[i] + offset) * dy[i] * (float)scale + x[i] * back;
    }
}
