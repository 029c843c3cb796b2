using System.Runtime.Intrinsics;
using Nibble.Tensors;
using Nibble.Tests.Quant.Formats;

namespace Nibble.Tests.Tensors;

public class Float4Tests
{
    [Fact]
    public void Every_code_is_the_number_of_the_specification()
    {
        for (var code = 0; code < 16; code++)
        {
            var (sign, exponent, mantissa) = (code < 8 ? 1 : -1, (code >> 1) & 3, code & 1);
            var expected = sign * (exponent == 0 ? mantissa * 0.5 : (1 + mantissa * 0.5) * Math.Pow(2, exponent - 1));
            Assert.Equal(expected, Float4.FromE2M1(code));
            Assert.Equal(code == 8 ? 0 : code, Float4.ToE2M1(Float4.FromE2M1(code))); // -0 has no sign when it is encoded
        }
        Assert.True(float.IsNegative(Float4.FromE2M1(8)));
        Assert.Equal(Float4.FromE2M1(3), Float4.FromE2M1(0x53)); // only the low four bits count
    }

    [Fact]
    public void Every_BF16_number_rounds_as_in_ModelOpt()
    {
        foreach (var (value, code) in ModelOpt.BF16Table("bf16_to_e2m1_nvfp4", 8))
            Assert.True(code == Float4.ToE2M1(value), $"{value:R}: {code:X} expected, got {Float4.ToE2M1(value):X}");
    }

    [Fact]
    public void Sixteen_numbers_round_like_one()
    {
        var values = Numbers.Awkward(4096, 1).Concat(Numbers.Bits(4096, 2)).ToArray();
        for (var i = 0; i < values.Length; i += 16)
        {
            var codes = Float4.ToE2M1(Vector512.Create(values, i));
            for (var lane = 0; lane < 16; lane++)
                Assert.Equal((uint)Float4.ToE2M1(values[i + lane]), codes[lane]);
        }
    }

    [Fact]
    public void Sixteen_codes_decode_like_one()
    {
        for (var code = 0; code < 16; code++)
            for (var lane = 0; lane < 16; lane++)
                Assert.Equal(Numbers.BitsOf([Float4.FromE2M1(code)]),
                    Numbers.BitsOf([Float4.FromE2M1(Vector512.Create((uint)code))[lane]]));
    }
}
