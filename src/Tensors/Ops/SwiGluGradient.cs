using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>
/// Back through <see cref="SwiGlu"/>: with σ = 1 / (1 + e^-gate), dup = dy · gate · σ and dgate = dy · up · σ · (1 + gate · (1 - σ)).
/// </summary>
public static class SwiGluGradient
{
    /// <param name="gate">Any shape, F32.</param>
    /// <param name="up">The shape of <paramref name="gate"/>.</param>
    /// <param name="dy">The shape of <paramref name="gate"/>.</param>
    /// <param name="dgate">The shape of <paramref name="gate"/>; none of the inputs.</param>
    /// <param name="dup">The shape of <paramref name="gate"/>; may be <paramref name="up"/> or <paramref name="dy"/>.</param>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Apply(Tensor gate, Tensor up, Tensor dy, Tensor dgate, Tensor dup)
    {
        Expect.Type(gate, DType.F32);
        Expect.Same(up, gate);
        Expect.Same(dy, gate);
        Expect.Same(dgate, gate);
        Expect.Same(dup, gate);
        Elementwise.Multiply(up, dy, dgate);
        Lanewise.Apply<SiluLane>(gate, dgate, dgate, nanosecondsEach: 0.6);
        SwiGlu.Apply(gate, dy, dup);
    }

    internal static void Definition(
        ReadOnlySpan<float> gate, ReadOnlySpan<float> up, ReadOnlySpan<float> dy, Span<double> dgate, Span<double> dup)
    {
        for (var i = 0; i < gate.Length; i++)
        {
            var sigmoid = 1 / (1 + Math.Exp(-(double)gate[i]));
            dup[i] = dy[i] * gate[i] * sigmoid;
            dgate[i] = (double)dy[i] * up[i] * sigmoid * (1 + gate[i] * (1 - sigmoid));
        }
    }

    /// <summary>dy times the slope of <see cref="Silu"/> at x. 1 - σ is computed as e^-x · σ: it keeps its digits where σ is near 1.</summary>
    internal readonly struct SiluLane : IBinary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x, V dy) where V : struct, IFloats<V>
        {
            var one = V.Broadcast(1);
            var clamped = V.Clamp(x, -87, 87); // where e^x is finite; the slope is 0 or 1 beyond
            var power = Exponential.Value(V.Broadcast(0) - clamped);
            var sigmoid = one / (one + power);
            return dy * (sigmoid * V.MultiplyAdd(clamped, power * sigmoid, one));
        }
    }
}
