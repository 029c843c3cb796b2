using Nibble.Models.Images.Jpeg;

namespace Nibble.Tests.Models.Images;

public class InverseDctTests
{
    /// <summary>Grey levels from the definition: 1.5 % of 1.28 million samples differed by 1, none by more.</summary>
    const int Tolerance = 1;

    [Fact]
    public void Integers_follow_the_definition()
    {
        var random = new Random(1);
        var quantization = new ushort[64];
        var block = new short[64];
        byte[] expected = new byte[64], actual = new byte[64];
        for (var round = 0; round < 400; round++)
        {
            Array.Clear(block);
            for (var i = 0; i < 64; i++)
                quantization[i] = (ushort)random.Next(1, 30);
            block[0] = (short)random.Next(-1024 / quantization[0], 1024 / quantization[0]);
            for (var i = round % 65; i > 0; i--) // from a constant block to one full of coefficients
                block[random.Next(64)] = (short)(random.Next(-200, 200) / quantization[0]);

            InverseDct.Definition(block, quantization, expected, 8);
            InverseDct.Apply(block, quantization, actual, 8);

            for (var i = 0; i < 64; i++)
                Assert.True(Math.Abs(expected[i] - actual[i]) <= Tolerance, $"round {round}, {i}: {expected[i]}, {actual[i]}");
        }
    }

    [Theory]
    [InlineData(2047, 255)]
    [InlineData(-2048, 0)]
    [InlineData(0, 128)]
    public void A_constant_block_is_its_first_coefficient_over_8_clamped(short first, byte sample)
    {
        var block = new short[64];
        block[0] = first;
        var samples = new byte[64];
        InverseDct.Apply(block, [.. Enumerable.Repeat((ushort)1, 64)], samples, 8);
        Assert.All(samples, found => Assert.Equal(sample, found));
    }

    [Fact]
    public void Impossible_coefficients_are_clamped_not_refused()
    {
        short[] block = [.. Enumerable.Range(0, 64).Select(i => i % 2 == 0 ? short.MaxValue : short.MinValue)];
        InverseDct.Apply(block, [.. Enumerable.Repeat(ushort.MaxValue, 64)], new byte[64], 8);
    }
}
