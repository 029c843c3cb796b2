using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = e^(x - max x) / Σ e^(x - max x) over the last dimension.</summary>
/// <remarks>
/// A row of negative infinities, which has no mass to share out, becomes zeros (PyTorch: NaN). A NaN or +∞ makes its row NaN.
/// </remarks>
public static class Softmax
{
    /// <param name="x">[…, D] F32.</param>
    /// <param name="y">The shape of <paramref name="x"/>; may be x itself.</param>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Apply(Tensor x, Tensor y)
    {
        Expect.Type(x, DType.F32);
        Expect.Same(y, x);
        Work.For(x.Rows, 0.7 * x.Columns, row => Host(x.Row(row), y.Row(row)));
    }

    internal static void Definition(ReadOnlySpan<float> x, Span<double> y)
    {
        var max = double.NegativeInfinity;
        foreach (var value in x)
            max = Math.Max(max, value);

        var sum = 0.0;
        for (var i = 0; i < x.Length; i++)
            sum += y[i] = double.IsNegativeInfinity(max) ? 0 : Math.Exp(x[i] - max);
        for (var i = 0; i < x.Length; i++)
            y[i] /= sum == 0 ? 1 : sum;
    }

    internal static void Host(ReadOnlySpan<float> x, Span<float> y)
    {
        if (Floats.Width == 16)
            Host<Floats16>(x, y);
        else if (Floats.Width == 8)
            Host<Floats8>(x, y);
        else
            Host<Floats4>(x, y);
    }

    internal static void Host<V>(ReadOnlySpan<float> x, Span<float> y) where V : struct, IFloats<V>
    {
        var max = Reduction.Max<V>(x);
        if (float.IsNegativeInfinity(max))
            y.Clear();
        else
            TensorPrimitives.Multiply(y, (float)(1 / Exponentials<V>(x, max, y)), y);
    }

    /// <summary>y = e^(x - max), and its sum.</summary>
    internal static double Exponentials<V>(ReadOnlySpan<float> x, float max, Span<float> y) where V : struct, IFloats<V>
    {
        const int Piece = 4096; // a vocabulary is too long a row to be summed in F32 alone

        var sum = 0.0;
        for (var start = 0; start < x.Length; start += Piece)
        {
            var length = Math.Min(Piece, x.Length - start);
            ref var from = ref MemoryMarshal.GetReference(x[start..]);
            sum += Exponentials<V>(ref from, max, ref MemoryMarshal.GetReference(y[start..]), length);
        }
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float Exponentials<V>(ref readonly float from, float max, ref float to, int length) where V : struct, IFloats<V>
    {
        V sum = V.Broadcast(0), maxima = V.Broadcast(max);
        var i = 0;
        for (; i <= length - V.Count; i += V.Count)
        {
            var e = Exponential.Value(V.Load(in from, i) - maxima);
            V.Store(e, ref to, i);
            sum += e;
        }
        if (i == length)
            return V.Sum(sum);

        Span<float> rest = stackalloc float[Floats.Widest];
        rest.Fill(float.NegativeInfinity); // adds nothing to the sum
        MemoryMarshal.CreateReadOnlySpan(in Unsafe.Add(ref Unsafe.AsRef(in from), i), length - i).CopyTo(rest);
        var last = Exponential.Value(V.Load(in rest[0], 0) - maxima);
        V.Store(last, ref rest[0], 0);
        rest[..(length - i)].CopyTo(MemoryMarshal.CreateSpan(ref Unsafe.Add(ref to, i), length - i));
        return V.Sum(sum + last);
    }
}
