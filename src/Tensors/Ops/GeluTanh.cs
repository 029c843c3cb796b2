using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))). arXiv:1606.08415, section 2.</summary>
public static class GeluTanh
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
            y[i] = 0.5 * x[i] * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x[i] + 0.044715 * Math.Pow(x[i], 3))));
    }

    internal readonly struct Lane : IUnary
    {
        // (1 + tanh u) / 2 = 1 / (1 + e^-2u), which does not cancel where u is negative.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : struct, IFloats<V>
        {
            const float Linear = -1.5957691216f, Cubic = -0.0713548162726f; // -2·√(2/π), and 0.044715 times that
            var exponent = x * V.MultiplyAdd(V.Broadcast(Cubic) * x, x, V.Broadcast(Linear));
            return x / (V.Broadcast(1) + Exponential.Value(exponent));
        }
    }
}
