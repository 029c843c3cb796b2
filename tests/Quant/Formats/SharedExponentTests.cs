using Nibble.Quant.Formats;

namespace Nibble.Tests.Quant.Formats;

public class SharedExponentTests
{
    [Theory]
    [InlineData(6, 127)]
    [InlineData(6.0000005f, 128)]
    [InlineData(5.9999995f, 127)]
    [InlineData(3, 126)]
    [InlineData(12.5f, 129)]
    public void Activations_take_the_smallest_power_that_holds_the_peak(float amax, int expected) =>
        Assert.Equal(expected, SharedExponent.OfActivations(amax, 6));

    [Fact]
    public void Subnormal_powers_end_at_two_to_the_minus_127()
    {
        var smallest = MathF.ScaleB(1, -127);
        Assert.Equal(0, SharedExponent.OfActivations(smallest, 1));
        Assert.Equal(1, SharedExponent.OfActivations(MathF.BitIncrement(smallest), 1));
        Assert.Equal(0, SharedExponent.OfActivations(float.Epsilon, 1));
        Assert.Equal(254, SharedExponent.OfActivations(float.MaxValue, 1)); // there is no 2^128
    }

    [Fact]
    public void A_block_of_zeros_has_a_scale_of_one_as_activations_and_the_smallest_as_weights()
    {
        Assert.Equal(127, SharedExponent.OfActivations(0, 6));
        Assert.Equal(0, SharedExponent.OfWeights(0, 6));
    }

    [Fact]
    public void Weights_just_above_a_power_keep_its_exponent_where_the_logarithm_rounds_to_it()
    {
        Assert.Equal(127 + 2, SharedExponent.OfWeights(24, 6));
        Assert.Equal(127 + 1, SharedExponent.OfWeights(MathF.BitIncrement(6), 6));       // log2 = 1.7e-7, representable near 0
        Assert.Equal(127 + 40, SharedExponent.OfWeights(MathF.ScaleB(MathF.BitIncrement(6), 40), 6)); // 40 + 1.7e-7 is 40 in F32
        Assert.Equal(127 + 41, SharedExponent.OfActivations(MathF.ScaleB(MathF.BitIncrement(6), 40), 6));
    }
}
