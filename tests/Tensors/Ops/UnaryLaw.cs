using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

/// <summary>What every elementwise function has to satisfy, at every vector width.</summary>
static class UnaryLaw
{
    public delegate void Definition(ReadOnlySpan<float> x, Span<double> y);

    /// <summary>Every length to 256, ties, extremes, and a sweep over the range where the function bends.</summary>
    public static void Holds<F>(Definition definition, double relative, double absolute) where F : struct, IUnary
    {
        for (var length = 1; length <= 256; length++)
            Check<F>(definition, Draw.Normal(length, length, deviation: 3), relative, absolute, $"length {length}");
        Check<F>(definition, Draw.Ties(77, seed: 1), relative, absolute, "ties");
        Check<F>(definition, Draw.Extremes(), relative, absolute, "extremes");
        float[] sweep = [.. Enumerable.Range(-40_000, 80_001).Select(i => i / 2000f)];
        Check<F>(definition, sweep, relative, absolute, "from -20 to 20");
    }

    static void Check<F>(Definition definition, float[] x, double relative, double absolute, string because)
        where F : struct, IUnary
    {
        var expected = new double[x.Length];
        var actual = new float[x.Length];
        definition(x, expected);

        Lanewise.Host<F, Floats4>(x, actual);
        Close.Assert(expected, actual, relative, absolute, $"{because}, 4 lanes");
        Lanewise.Host<F, Floats8>(x, actual);
        Close.Assert(expected, actual, relative, absolute, $"{because}, 8 lanes");
        Lanewise.Host<F, Floats16>(x, actual);
        Close.Assert(expected, actual, relative, absolute, $"{because}, 16 lanes");

        x.CopyTo(actual, 0);
        Lanewise.Host<F>(actual, actual);
        Close.Assert(expected, actual, relative, absolute, $"{because}, in place");
    }
}
