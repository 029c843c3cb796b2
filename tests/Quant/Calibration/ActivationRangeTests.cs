using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration;

public sealed class ActivationRangeTests
{
    [Theory]
    [InlineData("max", "max")]
    [InlineData("MAX", "max")]
    [InlineData("percentile", "percentile:99.99")]
    [InlineData("percentile:99.9", "percentile:99.9")]
    [InlineData("percentile 50", "percentile:50")]
    [InlineData("percentile: 100", "percentile:100")]
    [InlineData("entropy", "entropy")]
    [InlineData("mse", "mse")]
    [InlineData("headroom", "headroom")]
    public void Words_mean_ranges(string text, string range) => Assert.Equal(range, ActivationRange.Parse(text)?.ToString());

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("1")]
    [InlineData("maximum")]
    [InlineData("percentile:0")]
    [InlineData("percentile:100.1")]
    [InlineData("percentile:-1")]
    [InlineData("percentile:NaN")]
    [InlineData("percentile:99:9")]
    [InlineData("mse:3")]
    [InlineData("max,mse")]
    public void Other_words_do_not(string text) => Assert.Null(ActivationRange.Parse(text));

    [Fact]
    public void Each_method_asks_its_statistic_of_all_tokens()
    {
        var needs = new StatisticNeeds(Histogram: true, Headroom: true);
        using var statistics = new LayerStatistics("m", 64, 0, needs);
        var histogram = new MagnitudeHistogram("m");
        var headroom = new BlockHeadroom("m");
        for (var call = 0; call < 3; call++)
        {
            var x = Draw.Tensor(call, 40, 64);
            statistics.Observe(x, _ => Modality.Text);
            histogram.Observe(x);
            headroom.Observe(x);
        }
        Assert.Equal(statistics.Amax, Range("max", new Fp8PerTensor()));
        Assert.Equal(PercentileRange.Of(histogram, 99), Range("percentile:99", new Fp8PerTensor()));
        Assert.Equal(PercentileRange.Of(histogram), Range("percentile", new NvFp4Activation()));
        Assert.Equal(EntropyRange.Of(histogram), Range("entropy", new Int8PerTensor()));
        Assert.Equal(SquaredErrorRange.OfInteger(histogram), Range("mse", new Int8PerTensor()));
        Assert.Equal(SquaredErrorRange.OfE4M3(histogram), Range("mse", new Fp8PerTensor()));
        Assert.Equal(headroom.Range(), Range("headroom", new NvFp4Activation()));
        Assert.True(Range("percentile:99", new Fp8PerTensor()) < statistics.Amax);

        float Range(string text, ActivationFormat format) => ActivationRange.Parse(text)!.Of(statistics, format);
    }

    [Fact]
    public void A_statistic_that_was_not_gathered_is_named()
    {
        using var statistics = new LayerStatistics("mlp.up_proj", 16, 0);
        statistics.Observe(Draw.Tensor(1, 2, 16), _ => Modality.Text);
        foreach (var (range, name) in new[] { ("mse", "histogram"), ("headroom", "headroom") })
        {
            var error = Assert.Throws<QuantizationException>(() => ActivationRange.Parse(range)!.Of(statistics, new NvFp4Activation()));
            Assert.Contains("mlp.up_proj", error.Message, StringComparison.Ordinal);
            Assert.Contains(name, error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("headroom", "fp8", "block scales")]
    [InlineData("mse", "nvfp4", "block of 16")]
    [InlineData("entropy", "nvfp4", "block of 16")]
    public void Ranges_a_format_has_no_use_for_are_refused(string range, string format, string told)
    {
        var refusal = ActivationRange.Parse(range)!.Refuse(Schemes.Find(format)!.Activation!);
        Assert.Contains(told, refusal, StringComparison.Ordinal);
        Assert.Null(ActivationRange.Parse("percentile")!.Refuse(Schemes.Find(format)!.Activation!));
    }

    [Fact]
    public void A_recipe_says_its_range_unless_it_is_the_usual_one()
    {
        var recipe = new Recipe([]);
        Assert.DoesNotContain("range", recipe.Describe(), StringComparison.Ordinal);
        Assert.Contains("range=percentile:99.9", (recipe with { Range = ActivationRange.Parse("percentile:99.9")! }).Describe(), StringComparison.Ordinal);
    }
}
