using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = cap · tanh(x / cap), which keeps logits between -cap and cap. arXiv:2408.00118, section 2.</summary>
public static class SoftCap
{
    /// <param name="x">Any shape, F32.</param>
    /// <param name="y">The shape of <paramref name="x"/>; may be x itself.</param>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Apply(Tensor x, float cap, Tensor y)
    {
        Expect.Type(x, DType.F32);
        Expect.Same(y, x);
        Work.Pieces(x.Elements, nanosecondsEach: 0.6, (start, length) =>
        {
            var part = Lanewise.Part(y, start, length);
            TensorPrimitives.Divide(Lanewise.Part(x, start, length), cap, part);
            Lanewise.Host<Tanh>(part, part);
            TensorPrimitives.Multiply(part, cap, part);
        });
    }

    internal static void Definition(ReadOnlySpan<float> x, double cap, Span<double> y)
    {
        for (var i = 0; i < x.Length; i++)
            y[i] = cap * Math.Tanh(x[i] / cap);
    }

    /// <summary>In place.</summary>
    internal static void Host<V>(Span<float> x, float cap) where V : struct, IFloats<V>
    {
        TensorPrimitives.Divide(x, cap, x);
        Lanewise.Host<Tanh, V>(x, x);
        TensorPrimitives.Multiply(x, cap, x);
    }

    /// <summary>
    /// tanh x = 1 - 2 / (e^2x + 1), with an absolute error of 1.2e-7: enough where it is multiplied with the cap.
    /// </summary>
    internal readonly struct Tanh : IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : struct, IFloats<V> =>
            V.Broadcast(1) - V.Broadcast(2) / (Exponential.Value(x + x) + V.Broadcast(1));
    }
}
