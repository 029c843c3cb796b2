using System.Runtime.Intrinsics;
using Nibble.Tensors;
using Nibble.Tests.Quant.Formats;

namespace Nibble.Tests.Tensors;

public class Float8Tests
{
    [Fact]
    public void Every_E4M3_code_is_the_number_of_the_specification()
    {
        for (var code = 0; code < 256; code++)
        {
            var (sign, exponent, mantissa) = (code < 128 ? 1 : -1, (code >> 3) & 15, code & 7);
            var expected = exponent == 15 && mantissa == 7 ? double.NaN
                : sign * (exponent == 0 ? mantissa / 8.0 * Math.Pow(2, -6) : (1 + mantissa / 8.0) * Math.Pow(2, exponent - 7));
            Assert.Equal(expected, Float8.FromE4M3((byte)code));
            Assert.Equal(code, Float8.ToE4M3(Float8.FromE4M3((byte)code)));
        }
    }

    [Fact]
    public void Every_E5M2_code_is_the_number_of_the_specification()
    {
        for (var code = 0; code < 256; code++)
        {
            var (sign, exponent, mantissa) = (code < 128 ? 1 : -1, (code >> 2) & 31, code & 3);
            var expected = exponent == 31 ? (mantissa == 0 ? sign * double.PositiveInfinity : double.NaN)
                : sign * (exponent == 0 ? mantissa / 4.0 * Math.Pow(2, -14) : (1 + mantissa / 4.0) * Math.Pow(2, exponent - 15));
            Assert.Equal(expected, Float8.FromE5M2((byte)code));
            if (!double.IsNaN(expected))
                Assert.Equal(code, Float8.ToE5M2(Float8.FromE5M2((byte)code)));
        }
    }

    [Fact]
    public void Every_E8M0_code_is_a_power_of_two()
    {
        for (var code = 0; code < 255; code++)
            Assert.Equal(Math.Pow(2, code - 127), Float8.FromE8M0((byte)code));
        Assert.True(float.IsNaN(Float8.FromE8M0(255)));
    }

    [Fact]
    public void E4M3_rounds_every_BF16_number_as_torch_does()
    {
        foreach (var (value, code) in ModelOpt.BF16Table("bf16_to_e4m3_torch", 0x80))
            Assert.True(code == Float8.ToE4M3(value), $"{value:R}: {code:X2} expected, got {Float8.ToE4M3(value):X2}");
    }

    [Fact]
    public void E5M2_rounds_every_BF16_number_as_torch_does()
    {
        foreach (var (value, code) in ModelOpt.BF16Table("bf16_to_e5m2_torch", 0x80))
            Assert.True(code == Float8.ToE5M2(value), $"{value:R}: {code:X2} expected, got {Float8.ToE5M2(value):X2}");
    }

    [Theory]
    [InlineData("f32_e4m3")]
    [InlineData("f32_e5m2")]
    public void Ties_and_their_neighbours_round_as_in_torch(string name)
    {
        var (values, codes) = (ModelOpt.Floats(name + ".x"), ModelOpt.Bytes(name + ".code"));
        for (var i = 0; i < values.Length; i++)
            Assert.Equal(codes[i], name == "f32_e4m3" ? Float8.ToE4M3(values[i]) : Float8.ToE5M2(values[i]));
    }

    [Fact]
    public void E4M3_is_the_nearest_number_and_the_even_code_of_two()
    {
        foreach (var value in Numbers.Bits(20_000, 1).Concat(Numbers.Awkward(20_000, 2)).Where(float.IsFinite))
            Assert.Equal(NearestE4M3(value), Float8.ToE4M3(value));
    }

    [Fact]
    public void Whole_rows_equal_single_numbers_at_every_length()
    {
        for (var length = 0; length <= 80; length++)
            foreach (var values in new[] { Numbers.Awkward(length, length), Numbers.Bits(length, length) })
                foreach (var scale in new[] { 1, 0.0123f, 1e-40f, 3e20f })
                    CheckRow(values, scale);
    }

    [Fact]
    public void Sixteen_codes_decode_like_one()
    {
        for (var code = 0; code < 256; code++)
        {
            var vector = Float8.FromE4M3(Vector512.Create((uint)code));
            for (var lane = 0; lane < 16; lane++)
                Assert.Equal(Numbers.BitsOf([Float8.FromE4M3((byte)code)]), Numbers.BitsOf([vector[lane]]));
        }
    }

    [Fact]
    public void A_row_of_another_length_is_refused()
    {
        Assert.Throws<ShapeException>(() => Float8.EncodeE4M3(new float[3], 1, new byte[4]));
        Assert.Throws<ShapeException>(() => Float8.DecodeE4M3(new byte[3], 1, new float[2]));
    }

    static void CheckRow(float[] values, float scale)
    {
        var (codes, decoded, rounded) = (new byte[values.Length], new float[values.Length], (float[])values.Clone());
        Float8.EncodeE4M3(values, scale, codes);
        Float8.DecodeE4M3(codes, scale, decoded);
        Float8.RoundE4M3(rounded, scale);
        Assert.Equal([.. values.Select(value => Float8.ToE4M3(value / scale))], codes);
        Assert.Equal(Numbers.BitsOf([.. codes.Select(code => Float8.FromE4M3(code) * scale)]), Numbers.BitsOf(decoded));
        var inverse = 1 / scale;
        Assert.Equal(Numbers.BitsOf([.. values.Select(value => Float8.FromE4M3(Float8.ToE4M3(value * inverse)) * scale)]),
            Numbers.BitsOf(rounded));
    }

    static byte NearestE4M3(float value)
    {
        var best = 0;
        for (var code = 1; code < 0x7F; code++)
        {
            double Distance(int c) => Math.Abs(Math.Abs((double)value) - Float8.FromE4M3((byte)c));
            if (Distance(code) < Distance(best) || (Distance(code) == Distance(best) && code % 2 == 0))
                best = code;
        }
        return (byte)(best | (float.IsNegative(value) ? 0x80 : 0));
    }
}
