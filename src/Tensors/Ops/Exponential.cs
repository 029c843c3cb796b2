using System.Runtime.CompilerServices;

namespace Nibble.Tensors.Ops;

/// <summary>e^x in F32. Relative error at most 1.2e-7; 0 below -104, infinite above 88.73; NaN stays NaN.</summary>
/// <remarks>
/// x = k·ln 2 + r with |r| at most ln 2 / 2, and e^r = 1 + r + r²·q(r). q is the polynomial of degree 4 with the least relative
/// error of e^r there (3.1e-9), found by Remez exchange.
/// </remarks>
readonly struct Exponential : IUnary
{
    /// <summary>The definition: <c>Math.Exp</c> in double.</summary>
    internal static void Definition(ReadOnlySpan<float> x, Span<double> y)
    {
        for (var i = 0; i < x.Length; i++)
            y[i] = Math.Exp(x[i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Value<V>(V x) where V : struct, IFloats<V>
    {
        // ln 2 in two parts; the first has 9 significant bits, so that k times it is exact.
        const float Log2E = 1.44269504f, HighLn2 = 355 / 512f, LowLn2 = -2.12194440e-4f;

        x = V.Clamp(x, -104, 89);
        var k = V.Round(x * V.Broadcast(Log2E));
        var r = V.MultiplyAdd(k, V.Broadcast(-HighLn2), x);
        r = V.MultiplyAdd(k, V.Broadcast(-LowLn2), r);

        var q = V.Broadcast(1.3814599e-3f);
        q = V.MultiplyAdd(q, r, V.Broadcast(8.3687169e-3f));
        q = V.MultiplyAdd(q, r, V.Broadcast(4.1668388e-2f));
        q = V.MultiplyAdd(q, r, V.Broadcast(1.6666521e-1f));
        q = V.MultiplyAdd(q, r, V.Broadcast(4.9999993e-1f));
        return V.Scale(V.MultiplyAdd(r * r, q, r) + V.Broadcast(1), k);
    }
}
