using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

/// <summary>A function of two numbers against its definition, at every vector width.</summary>
static class BinaryLaw
{
    public delegate void Definition(ReadOnlySpan<float> x, ReadOnlySpan<float> y, Span<double> result);

    public static void Check<F>(Definition definition, float[] x, float[] y, double relative, double absolute) where F : struct, IBinary
    {
        var expected = new double[x.Length];
        var actual = new float[x.Length];
        definition(x, y, expected);
        Lanewise.Host<F, Floats4>(x, y, actual);
        Close.Assert(expected, actual, relative, absolute, $"length {x.Length}, 4 lanes");
        Lanewise.Host<F, Floats8>(x, y, actual);
        Close.Assert(expected, actual, relative, absolute, $"length {x.Length}, 8 lanes");
        Lanewise.Host<F, Floats16>(x, y, actual);
        Close.Assert(expected, actual, relative, absolute, $"length {x.Length}, 16 lanes");
    }
}
