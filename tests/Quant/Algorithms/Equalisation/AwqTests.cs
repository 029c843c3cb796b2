using System.Globalization;
using Nibble.Quant;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms.Equalisation;

public class AwqTests
{
    [Theory]
    [InlineData("int4_awq_lite", 0.1)]
    [InlineData("int4_awq_lite_step05", 0.5)]
    [InlineData("nvfp4_awq_lite", 0.1)]
    [InlineData("w4a8_awq_lite", 0.1)]
    public void The_search_equals_the_recording(string name, double step)
    {
        var format = Format(name);
        var (recorded, inputs) = (Lab.Case(name), Lab.Inputs());
        Close.Assert(Lab.Floats(name + ".act_scale"), inputs.MeanMagnitude(), Lab.Scale);
        Close.Assert(Lab.Floats(name + ".weight_scale_stat"), Awq.RelativeMagnitude(Lab.Weight, format.Group), Lab.Scale);

        var result = Awq.Search(inputs, Lab.Weight, format, step);
        Assert.Null(result.Unsearched);
        Lab.Near(recorded.GetProperty("alpha").GetDouble(), result.Alpha!.Value);
        var losses = recorded.GetProperty("loss_per_alpha").EnumerateObject().ToArray();
        Assert.Equal(losses.Length, result.Losses.Count);
        foreach (var (expected, found) in losses.Zip(result.Losses))
        {
            Lab.Near(double.Parse(expected.Name, CultureInfo.InvariantCulture), found.Alpha);
            Lab.Near(expected.Value.GetDouble(), (float)found.Loss, Lab.Loss);
        }
        Close.Assert(Lab.Floats(name + ".best_scale"), result.WeightScale, Lab.Scale);
        Close.Assert(Lab.Floats(name + ".pre_quant_scale"), result.PreQuantScale, Lab.Scale);
    }

    [Fact]
    public void Int4_ranges_and_outputs_equal_the_recording()
    {
        var result = Awq.Search(Lab.Inputs(), Lab.Weight, new Int4());
        var scaled = ChannelScaling.Multiply(Lab.Weight, result.WeightScale);
        var ranges = SimulatedRounding.Of(new Int4()).Ranges(scaled);
        Close.Assert(Lab.Floats("int4_awq_lite.weight_amax"), ranges.Span<float>(), Lab.Scale);
        Lab.CheckOutput("int4_awq_lite", Lab.Tokens(result.PreQuantScale), Lab.Rounded(scaled, new Int4()));
    }

    [Fact]
    public void NvFp4_ranges_and_outputs_equal_the_recording()
    {
        var result = Awq.Search(Lab.Inputs(), Lab.Weight, new NvFp4());
        var recorded = Lab.Case("nvfp4_awq_lite");
        Lab.Near(recorded.GetProperty("input_amax").GetDouble(), result.InputAmax);
        var scaled = ChannelScaling.Multiply(Lab.Weight, result.WeightScale);
        Lab.Near(recorded.GetProperty("weight_amax").GetDouble(), WeightQuantizer.AbsMax(scaled));
        Lab.CheckOutput("nvfp4_awq_lite",
            Lab.AsNvFp4(Lab.Tokens(result.PreQuantScale), result.InputAmax), Lab.Rounded(scaled, new NvFp4()));
    }

    [Fact]
    public void W4A8_searches_with_its_int4_stage_and_rounds_that_to_FP8()
    {
        var result = Awq.Search(Lab.Inputs(), Lab.Weight, new Int4());
        var recorded = Lab.Case("w4a8_awq_lite");
        Lab.Near(recorded.GetProperty("input_amax").GetDouble(), result.InputAmax);
        var first = Lab.Rounded(ChannelScaling.Multiply(Lab.Weight, result.WeightScale), new Int4());
        Lab.Near(recorded.GetProperty("second_stage_amax").GetDouble(), WeightQuantizer.AbsMax(first));
        Lab.CheckOutput("w4a8_awq_lite",
            Lab.AsFp8(Lab.Tokens(result.PreQuantScale), result.InputAmax), Lab.Rounded(first, new Fp8()));
    }

    [Theory]
    [InlineData(0.3f)]
    [InlineData(1f)]
    public void A_loss_from_second_moments_is_that_over_tokens(float alpha)
    {
        var inputs = new AwqInputs("fc", 256);
        inputs.Observe(Lab.Batches[1]);
        var result = Awq.Search(inputs, Lab.Weight, new Int4());
        var scale = Awq.Scale(inputs.MeanMagnitude(), Awq.RelativeMagnitude(Lab.Weight, 128), alpha);
        var expected = Awq.PlainLoss(Lab.Batches[1], Lab.Weight, scale, SimulatedRounding.Of(new Int4()));
        Lab.Near(expected, (float)result.Losses.Single(loss => loss.Alpha == alpha).Loss, Lab.Loss);
    }

    [Fact]
    public void A_layer_without_tokens_keeps_its_weights()
    {
        var result = Awq.Search(new AwqInputs("expert.7", 256), Lab.Weight, new Int4());
        Assert.Null(result.Alpha);
        Assert.Equal("no tokens", result.Unsearched);
        Assert.All(result.PreQuantScale, scale => Assert.Equal(1, scale));
        Assert.Contains("expert.7", Assert.Throws<QuantizationException>(
            () => Awq.Search(new AwqInputs("expert.7", 12), Lab.Weight, new Int4())).Message);
    }

    [Theory]
    [InlineData("int4_awq_clip")]
    [InlineData("int4_awq_full")]
    [InlineData("w4a8_awq_clip")]
    [InlineData("w4a8_awq_full")]
    public void Clipping_blocks_equals_the_recording(string name)
    {
        var (weight, scale) = Scaled(name);
        var clip = AwqClip.PerBlock(weight, new Int4(), Lab.Moments(128, AwqClip.SampledTokens), scale);
        Close.Assert(Lab.Floats(name + ".clip_loss"), clip.Losses.Span<float>(), Lab.Loss);
        if (name.StartsWith("w4a8")) // there the clipped ranges are calibrated over again
            return;
        Close.Assert(Lab.Floats(name + ".weight_amax"), clip.Ranges.Span<float>(), Lab.Scale);
        Lab.CheckOutput(name, Lab.Tokens(scale), Lab.Rounded(weight, new Int4(), clip.Ranges));
    }

    [Theory]
    [InlineData("nvfp4_awq_clip")]
    [InlineData("nvfp4_awq_full")]
    public void Clipping_a_matrix_equals_the_recording(string name)
    {
        var (weight, scale) = Scaled(name);
        var inputs = Lab.Inputs();
        var clip = AwqClip.PerTensor(weight, new NvFp4(), inputs, scale);
        foreach (var (expected, found) in Lab.Case(name).GetProperty("clip_loss").EnumerateArray().Zip(clip.Losses))
            Lab.Near(expected.GetDouble(), (float)found, Lab.Loss);
        Lab.Near(Lab.Case(name).GetProperty("weight_amax").GetDouble(), clip.Range);
        var amax = scale is null ? inputs.Amax.ToArray().Max() : ChannelScaling.InputAmax(inputs.Amax, scale);
        Lab.CheckOutput(name, Lab.AsNvFp4(Lab.Tokens(scale), amax),
            Lab.Rounded(weight, new NvFp4(), Tensor.From([clip.Range], 1, 1)));
    }

    [Fact]
    public void Clipping_needs_the_right_kind_of_format()
    {
        Assert.Contains("int4-g128", Assert.Throws<QuantizationException>(
            () => AwqClip.PerTensor(Lab.Weight, new Int4(), Lab.Inputs())).Message);
        Assert.Contains("nvfp4-b16", Assert.Throws<QuantizationException>(
            () => AwqClip.PerBlock(Lab.Weight, new NvFp4(), Lab.Moments(16, 0))).Message);
    }

    static (Tensor Weight, float[]? Scale) Scaled(string name)
    {
        if (name.EndsWith("clip"))
            return (Lab.Weight, null);
        var result = Awq.Search(Lab.Inputs(), Lab.Weight, Format(name));
        return (ChannelScaling.Multiply(Lab.Weight, result.WeightScale), result.PreQuantScale);
    }

    static WeightFormat Format(string name) => name.StartsWith("nvfp4") ? new NvFp4() : new Int4();
}
