using Nibble.Tensors;

namespace Nibble.Tests.Support;

/// <summary>Seeded data. The same seed gives the same numbers.</summary>
static class Draw
{
    /// <summary>Normally distributed: Box and Muller's transform.</summary>
    public static float[] Normal(int length, int seed, double deviation = 1, double mean = 0)
    {
        var random = new Random(seed);
        var result = new float[length];
        for (var i = 0; i < length; i++)
        {
            var radius = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
            result[i] = (float)(mean + deviation * radius * Math.Cos(2 * Math.PI * random.NextDouble()));
        }
        return result;
    }

    /// <summary>From -2, -1.5, … 2, so that most values occur more than once.</summary>
    public static float[] Ties(int length, int seed)
    {
        var random = new Random(seed);
        var result = new float[length];
        for (var i = 0; i < length; i++)
            result[i] = random.Next(-4, 5) / 2f;
        return result;
    }

    /// <summary>Zeros of both signs, subnormals, the edges of exp, the largest numbers, infinities and NaN.</summary>
    public static float[] Extremes() =>
    [
        0, -0f, float.Epsilon, -float.Epsilon, 1.1754944e-38f, -1.1754942e-38f, 1e-30f, -1e-30f, 1e-7f, -1e-7f, 0.5f, -0.5f,
        1, -1, 3.5f, -3.5f, 10, -10, 14.4f, -14.4f, 14.6f, -14.6f, 50, -50, 87.3f, -87.3f, 88.7f, -88.7f, 88.8f, -88.8f,
        103, -103, 104, -104, 105, -105, 1e4f, -1e4f, 1e12f, -1e12f, 1e30f, -1e30f, float.MaxValue, float.MinValue,
        float.PositiveInfinity, float.NegativeInfinity, float.NaN,
    ];

    /// <summary>A tensor of normally distributed numbers.</summary>
    public static Tensor Tensor(int seed, params ReadOnlySpan<long> dimensions)
    {
        var shape = new Shape(dimensions);
        return Nibble.Tensors.Tensor.From(Normal((int)shape.Elements, seed), dimensions);
    }
}
