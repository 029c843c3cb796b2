using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = x / (1 + e^-x), also called swish. arXiv:1702.03118. NaN at NaN and at -∞, as in PyTorch.</summary>
public static class Silu
{
    /// <param name="x">Any shape, F32.</param>
    /// <param name="y">The shape of <paramref name="x"/>; may be x itself.</param>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Apply(Tensor x, Tensor y)
    {
        Expect.Type(x, DType.F32);
        Expect.Same(y, x);
        Lanewise.Apply<Lane>(x, y, nanosecondsEach: 0.4);
    }

    internal static void Definition(ReadOnlySpan<float> x, Span<double> y)
    {
        for (var i = 0; i < x.Length; i++)
            y[i] = x[i] / (1 + Math.Exp(-(double)x[i]));
    }

    internal readonly struct Lane : IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : struct, IFloats<V> =>
            x / (V.Broadcast(1) + Exponential.Value(V.Broadcast(0) - x));
    }
}
