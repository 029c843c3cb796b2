using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = silu(gate) · up, the gate of a gated MLP. arXiv:2002.05202, equation 5.</summary>
public static class SwiGlu
{
    /// <param name="gate">Any shape, F32.</param>
    /// <param name="up">The shape of <paramref name="gate"/>.</param>
    /// <param name="y">The shape of <paramref name="gate"/>; may be either input.</param>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Apply(Tensor gate, Tensor up, Tensor y)
    {
        Expect.Type(gate, DType.F32);
        Expect.Same(up, gate);
        Expect.Same(y, gate);
        Lanewise.Apply<Lane>(gate, up, y, nanosecondsEach: 0.5);
    }

    internal static void Definition(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<double> y)
    {
        for (var i = 0; i < gate.Length; i++)
            y[i] = gate[i] / (1 + Math.Exp(-(double)gate[i])) * up[i];
    }

    internal readonly struct Lane : IBinary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V gate, V up) where V : struct, IFloats<V> => Silu.Lane.Value(gate) * up;
    }
}
