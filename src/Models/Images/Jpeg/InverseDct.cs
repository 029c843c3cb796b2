namespace Nibble.Models.Images.Jpeg;

/// <summary>The inverse DCT of 8 x 8 blocks, with the roundings of libjpeg's default method ("ISLOW").</summary>
/// <remarks>
/// C. Loeffler, A. Ligtenberg, G. Moschytz, "Practical fast 1-D DCT algorithms with 11 multiplications", ICASSP 1989: rotations
/// shared between the even and the odd half, in integers of 13 fractional bits. Columns first, keeping 2 more bits; then rows.
/// </remarks>
static class InverseDct
{
    const int FractionBits = 13, ExtraBits = 2;

    // Sums of cosines, sqrt(2) * cos(k pi / 16) = c(k), in 13 fractional bits.
    const int C6 = 4433, C2MinusC6 = 6270, C2PlusC6 = 15137;       // 0.541196100, 0.765366865, 1.847759065
    const int C3 = 9633, C5MinusC3 = -3196, MinusC3MinusC5 = -16069; // 1.175875602, -0.390180644, -1.961570560
    const int C7MinusC3 = -7373, MinusC1MinusC3 = -20995;          // -0.899976223, -2.562915447
    const int OddSeven = 2446, OddFive = 16819;                    // 0.298631336, 2.053119869
    const int OddThree = 25172, OddOne = 12299;                    // 3.072711026, 1.501321110

    /// <summary>T.81, A.3.3, level shift of A.3.1 included: what every faster version approximates. Never optimised.</summary>
    internal static void Definition(ReadOnlySpan<short> block, ReadOnlySpan<ushort> quantization, Span<byte> samples, int stride)
    {
        for (var y = 0; y < 8; y++)
            for (var x = 0; x < 8; x++)
            {
                var sum = 0.0;
                for (var v = 0; v < 8; v++)
                    for (var u = 0; u < 8; u++)
                        sum += (u == 0 ? Math.Sqrt(0.5) : 1) * (v == 0 ? Math.Sqrt(0.5) : 1)
                            * block[8 * v + u] * quantization[8 * v + u]
                            * Math.Cos((2 * x + 1) * u * Math.PI / 16) * Math.Cos((2 * y + 1) * v * Math.PI / 16);
                samples[y * stride + x] = (byte)Math.Clamp(Math.Round(sum / 4) + 128, 0, 255);
            }
    }

    /// <param name="block">64 coefficients in row order.</param>
    /// <param name="quantization">The factor of each.</param>
    /// <param name="samples">Where 8 rows of 8 samples go, <paramref name="stride"/> apart.</param>
    public static void Apply(ReadOnlySpan<short> block, ReadOnlySpan<ushort> quantization, Span<byte> samples, int stride)
    {
        Span<int> work = stackalloc int[64];
        for (var i = 0; i < 64; i++)
            work[i] = block[i] * quantization[i];

        for (var column = 0; column < 8; column++)
            Transform(work[column..], 8, FractionBits - ExtraBits);
        for (var row = 0; row < 8; row++)
        {
            Transform(work[(8 * row)..], 1, FractionBits + ExtraBits + 3); // 3: the two-dimensional transform divides by 8
            var line = samples.Slice(row * stride, 8);
            for (var i = 0; i < 8; i++)
                line[i] = (byte)Math.Clamp(work[8 * row + i] + 128, 0, 255);
        }
    }

    /// <summary>Eight values, a step apart, in place; then <paramref name="shift"/> bits are rounded off.</summary>
    static void Transform(Span<int> x, int step, int shift)
    {
        int x0 = x[0], x1 = x[step], x2 = x[2 * step], x3 = x[3 * step];
        int x7 = x[7 * step], x6 = x[6 * step], x5 = x[5 * step], x4 = x[4 * step];
        var half = 1 << shift - 1;

        if ((x1 | x2 | x3 | x4 | x5 | x6 | x7) == 0) // common, and the same result
        {
            var constant = (x0 << FractionBits) + half >> shift;
            for (var i = 0; i < 8; i++)
                x[i * step] = constant;
            return;
        }

        // Even half: a butterfly of 0 and 4, a rotation of 2 and 6.
        var turn = (x2 + x6) * C6;
        int low = turn + x2 * C2MinusC6, high = turn - x6 * C2PlusC6;
        int sum = (x0 + x4 << FractionBits) + half, difference = (x0 - x4 << FractionBits) + half;
        int even0 = sum + low, even1 = difference + high, even2 = difference - high, even3 = sum - low;

        // Odd half: four values, each from its own product and two of the shared ones.
        var shared = (x7 + x3 + x5 + x1) * C3;
        int a = (x7 + x1) * C7MinusC3, b = (x5 + x3) * MinusC1MinusC3;
        int c = (x7 + x3) * MinusC3MinusC5 + shared, d = (x5 + x1) * C5MinusC3 + shared;
        int odd3 = x7 * OddSeven + a + c, odd2 = x5 * OddFive + b + d, odd1 = x3 * OddThree + b + c, odd0 = x1 * OddOne + a + d;

        x[0] = even0 + odd0 >> shift;
        x[step] = even1 + odd1 >> shift;
        x[2 * step] = even2 + odd2 >> shift;
        x[3 * step] = even3 + odd3 >> shift;
        x[4 * step] = even3 - odd3 >> shift;
        x[5 * step] = even2 - odd2 >> shift;
        x[6 * step] = even1 - odd1 >> shift;
        x[7 * step] = even0 - odd0 >> shift;
    }
}
