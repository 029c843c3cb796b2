namespace Nibble.Tests.Support;

/// <summary>
/// Slopes from values alone: central differences of two step sizes, combined so that the error falls with the fourth power of the step
/// (Richardson). Inputs are rounded to 1/1024 so that every step is exact in F32.
/// </summary>
static class FiniteDifferences
{
    /// <summary>Largest error allowed, of the largest slope; 5.1e-8 measured.</summary>
    public const double Tolerance = 2e-7;

    const float Step = 1f / 64;

    /// <summary>Normally distributed numbers that steps are exact at.</summary>
    public static float[] Draw(int length, int seed) => [.. Support.Draw.Normal(length, seed).Select(x => MathF.Round(x * 1024) / 1024)];

    /// <summary>df/dx of a function that reads <paramref name="x"/>.</summary>
    public static double[] Of(Span<float> x, Func<double> f)
    {
        var slopes = new double[x.Length];
        for (var i = 0; i < x.Length; i++)
        {
            var at = x[i];
            var (wide, narrow) = (Difference(ref x[i], at, Step, f), Difference(ref x[i], at, Step / 2, f));
            slopes[i] = (4 * narrow - wide) / 3;
            x[i] = at;
        }
        return slopes;
    }

    /// <summary>Slopes of a definition against those of values.</summary>
    public static void Assert(double[] expected, double[] actual, string because)
    {
        var largest = expected.Max(Math.Abs);
        for (var i = 0; i < expected.Length; i++)
            Xunit.Assert.True(Math.Abs(expected[i] - actual[i]) <= Tolerance * largest,
                $"{because}, element {i}: {actual[i]:R} instead of {expected[i]:R}; largest {largest:R}");
    }

    static double Difference(ref float x, float at, float step, Func<double> f)
    {
        x = at + step;
        var above = f();
        x = at - step;
        return (above - f()) / (2 * step);
    }
}
