namespace Nibble.Tests.Quant.Formats;

/// <summary>Finite numbers that a rounding could get wrong.</summary>
static class Numbers
{
    /// <summary>Ties of all grids, zeros, subnormals, the largest numbers and seeded noise of many sizes, shuffled.</summary>
    public static float[] Awkward(int count, int seed)
    {
        var random = new Random(seed);
        float[] fixedOnes =
        [
            0, -0f, 1, -1, 0.25f, -0.25f, 0.75f, -0.75f, 1.25f, 1.75f, 2.5f, -2.5f, 3.5f, 4.5f, 5, -5, 6, -6, 6.5f, 7.5f,
            448, 464, 480, 1e-45f, -1e-45f, 1e-38f, 1e-20f, MathF.ScaleB(1, -9), MathF.ScaleB(1, -10), MathF.ScaleB(3, -10), 127.5f, -128.5f,
        ];
        var values = new float[count];
        for (var i = 0; i < count; i++)
            values[i] = random.Next(4) == 0 ? fixedOnes[random.Next(fixedOnes.Length)]
                : random.Next(8) == 0 ? random.Next(-32, 33) / 4f
                : (float)(Math.Exp(random.NextDouble() * 8 - 5) * (random.NextDouble() - 0.5));
        return values;
    }

    /// <summary>The same with some of the largest F32 numbers and the smallest.</summary>
    public static float[] Extreme(int count, int seed)
    {
        var values = Awkward(count, seed);
        for (var i = seed % 7; i < count; i += 7)
            values[i] = (i % 3) switch { 0 => float.MaxValue, 1 => -3e38f, _ => 1e-40f };
        return values;
    }

    /// <summary>Any bit pattern, NaN and infinity too.</summary>
    public static float[] Bits(int count, int seed)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (var i = 0; i < count; i++)
            values[i] = BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
        float[] special =
            [float.NaN, -float.NaN, float.PositiveInfinity, float.NegativeInfinity, 0, -0f, float.MaxValue, float.Epsilon];
        for (var i = 0; i < Math.Min(count, special.Length); i++)
            values[random.Next(count)] = special[i];
        return values;
    }

    public static int[] BitsOf(ReadOnlySpan<float> values)
    {
        var bits = new int[values.Length];
        for (var i = 0; i < bits.Length; i++)
            bits[i] = float.IsNaN(values[i]) ? int.MinValue + 1 : BitConverter.SingleToInt32Bits(values[i]);
        return bits;
    }
}
