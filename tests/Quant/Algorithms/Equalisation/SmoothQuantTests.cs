using Nibble.Quant;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms.Equalisation;

public class SmoothQuantTests
{
    [Theory]
    [InlineData(0f)]
    [InlineData(0.5f)]
    [InlineData(1f)]
    public void Equals_the_recording(float alpha)
    {
        var name = FormattableString.Invariant($"smoothquant_alpha{alpha:0.0}");
        var inputs = Lab.Inputs();
        var scales = SmoothQuant.Scales(inputs.Amax, Lab.Weight, alpha);
        Close.Assert(Lab.Floats(name + ".pre_quant_scale"), scales, Lab.Scale);

        var smoothed = ChannelScaling.Divide(Lab.Weight, scales);
        var ranges = SimulatedRounding.Of(new Int8PerChannel()).Ranges(smoothed);
        Close.Assert(Lab.Floats(name + ".weight_amax"), ranges.Span<float>(), Lab.Scale);
        var amax = ChannelScaling.InputAmax(inputs.Amax, scales);
        Lab.Near(Lab.Case(name).GetProperty("input_amax").GetDouble(), amax);
        Lab.CheckOutput(name, Lab.AsInt8(Lab.Tokens(scales), amax), Lab.Rounded(smoothed, new Int8PerChannel()));
    }

    [Fact]
    public void Dead_channels_get_numbers_one_can_divide_by()
    {
        float[] amax = [0, 0, 1e-30f, 2];
        var weight = Tensor.From([1, 0, 3, 0], 1, 4);
        foreach (var alpha in new[] { 0, 0.5f, 1 })
            Assert.All(SmoothQuant.Scales(amax, weight, alpha), scale => Assert.InRange(scale, 1e-4f, 1e4f));
        Assert.Equal([1, 1, 1, 1e-4f], SmoothQuant.Scales(amax, weight, 0.5f));
    }

    [Fact]
    public void Wrong_shapes_and_numbers_are_refused()
    {
        Assert.Contains("[out, 2]",
            Assert.Throws<QuantizationException>(() => SmoothQuant.Scales([1, 2], Tensor.Zeros(3, 4), 0.5f)).Message);
        Assert.Contains("NaN",
            Assert.Throws<QuantizationException>(() => SmoothQuant.Scales([1], Tensor.From([float.NaN], 1, 1), 0.5f)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => SmoothQuant.Scales([1], Tensor.Zeros(1, 1), 1.5f));
    }
}
