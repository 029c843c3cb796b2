using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>y = x/2 · (1 + erf(x/√2)). arXiv:1606.08415, section 2.</summary>
/// <remarks>
/// With z = |x|/√2, erfc(z) = e^(-z²)·t·p(t), t = 1 / (1 + 0.35 z): the form of Abramowitz and Stegun 7.1.26. p is the polynomial
/// of degree 9 with the least relative error (7.4e-9) up to z = 10.3, where erfc leaves the range of F32; found by Remez
/// exchange. Then y = x·(1 - erfc(z)/2) for positive x and x·erfc(z)/2 for negative x, so that the left tail keeps its relative
/// accuracy. NaN at NaN and at -∞, as in PyTorch.
/// </remarks>
public static class Gelu
{
    /// <param name="x">Any shape, F32.</param>
    /// <param name="y">The shape of <paramref name="x"/>; may be x itself.</param>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Apply(Tensor x, Tensor y)
    {
        Expect.Type(x, DType.F32);
        Expect.Same(y, x);
        Lanewise.Apply<Lane>(x, y, nanosecondsEach: 0.7);
    }

    /// <summary>erf by its series below 2 and erfc by its continued fraction above: NIST DLMF 7.6.2 and 7.9.</summary>
    internal static void Definition(ReadOnlySpan<float> x, Span<double> y)
    {
        for (var i = 0; i < x.Length; i++)
        {
            var half = 0.5 * ErfC(Math.Abs(x[i]) / Math.Sqrt(2));
            y[i] = x[i] * (x[i] < 0 ? half : 1 - half);
        }
    }

    static double ErfC(double z)
    {
        if (z < 2)
        {
            double term = z, sum = z;
            for (var n = 1; n < 100; n++)
                sum += term *= 2 * z * z / (2 * n + 1);
            return 1 - 2 / Math.Sqrt(Math.PI) * Math.Exp(-z * z) * sum;
        }

        var fraction = z;
        for (var n = 200; n > 0; n--)
            fraction = z + n / 2.0 / fraction;
        return Math.Exp(-z * z) / (Math.Sqrt(Math.PI) * fraction);
    }

    internal readonly struct Lane : IUnary
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : struct, IFloats<V> => x * Normal(x, out _);
    }

    /// <summary>Φ(x), the distribution of the normal; and e^(-x²/2).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Normal<V>(V x, out V gauss) where V : struct, IFloats<V>
    {
        const float Furthest = 14.5f; // z = 10.25
        const float Slope = 0.24748737f; // 0.35 / √2

        var magnitude = V.Clamp(V.Abs(x), 0, Furthest);
        var t = V.Broadcast(1) / V.MultiplyAdd(magnitude, V.Broadcast(Slope), V.Broadcast(1));
        var p = V.Broadcast(3.8821930e-2f);
        p = V.MultiplyAdd(p, t, V.Broadcast(-1.6128190e-1f));
        p = V.MultiplyAdd(p, t, V.Broadcast(1.8717664e-1f));
        p = V.MultiplyAdd(p, t, V.Broadcast(-3.5602301e-2f));
        p = V.MultiplyAdd(p, t, V.Broadcast(9.3847467e-2f));
        p = V.MultiplyAdd(p, t, V.Broadcast(1.4221622e-1f));
        p = V.MultiplyAdd(p, t, V.Broadcast(1.5257257e-1f));
        p = V.MultiplyAdd(p, t, V.Broadcast(1.8758961e-1f));
        p = V.MultiplyAdd(p, t, V.Broadcast(1.9717817e-1f));
        p = V.MultiplyAdd(p, t, V.Broadcast(1.9748160e-1f));

        // e^(-x²/2) with the rounding error of x² put back: in the tail it is a large part of the result.
        var square = magnitude * magnitude;
        var lost = V.MultiplyAdd(magnitude, magnitude, V.Broadcast(0) - square);
        gauss = Exponential.Value(V.Broadcast(-0.5f) * square);
        gauss = V.MultiplyAdd(V.Broadcast(-0.5f) * lost, gauss, gauss);

        var half = V.Broadcast(0.5f) * (gauss * t * p);
        return V.Select(V.Less(x, V.Broadcast(0)), half, V.Broadcast(1) - half);
    }
}
