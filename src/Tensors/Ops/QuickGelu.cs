using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = x / (1 + e^(-1.702 x)), the approximation of GELU by a sigmoid. arXiv:1606.08415, section 2.</summary>
public static class QuickGelu
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
            y[i] = x[i] / (1 + Math.Exp(-1.702 * x[i]));
    }

    internal readonly struct Lane : IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : struct, IFloats<V> =>
            x / (V.Broadcast(1) + Exponential.Value(V.Broadcast(-1.702f) * x));
    }
}
