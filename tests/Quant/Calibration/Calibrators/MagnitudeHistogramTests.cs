using System.Text.Json;
using Nibble.Quant;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration.Calibrators;

public class MagnitudeHistogramTests
{
    /// <summary>Edges are F32 numbers near index · width: at most an ulp off, 1.2e-7 measured.</summary>
    const double EdgeTolerance = 3e-7;

    [Theory, MemberData(nameof(Recorded.Names), MemberType = typeof(Recorded))]
    public void Counts_and_edges_equal_the_recording(string name)
    {
        var histogram = Of(name);
        var expected = Recorded.Histogram(name + ".histc.counts").Span<int>();
        Assert.Equal([.. expected], histogram.Counts.ToArray().Select(count => (int)count));
        var recorded = Recorded.Case(name).GetProperty("histc");
        Assert.Equal(recorded.GetProperty("num_bins").GetInt32(), histogram.Counts.Length);
        Near(recorded, "edge1", histogram.Width);
        Near(recorded, "last_edge", histogram.Range);
    }

    [Theory, MemberData(nameof(Recorded.Names), MemberType = typeof(Recorded))]
    public void Percentiles_equal_the_recording(string name)
    {
        var recorded = Recorded.Case(name).GetProperty("histc");
        foreach (var percentile in new[] { 50.0, 99, 99.9, 99.99, 100 })
        {
            var key = FormattableString.Invariant($"percentile_{percentile:0.0##}");
            Near(recorded, key, PercentileRange.Of(Of(name), percentile));
        }
    }

    [Theory, MemberData(nameof(Recorded.Names), MemberType = typeof(Recorded))]
    public void Least_squares_equals_the_recorded_formula(string name)
    {
        var recorded = Recorded.Case(name).GetProperty("histc");
        Near(recorded, "mse_formula_int8", SquaredErrorRange.OfInteger(Of(name)));
        Near(recorded, "mse_formula_int4", SquaredErrorRange.OfInteger(Of(name), bits: 4));
        Near(recorded, "mse_formula_fp8", SquaredErrorRange.OfE4M3(Of(name)));
    }

    [Theory, MemberData(nameof(Recorded.Names), MemberType = typeof(Recorded))]
    public void Entropy_equals_the_recording(string name)
    {
        var recorded = Recorded.Case(name).GetProperty("histc");
        Near(recorded, "entropy_int8_stride16", EntropyRange.Of(Of(name), stride: 16));
        Near(recorded, "entropy_int4_stride16", EntropyRange.Of(Of(name), bits: 4, stride: 16));
        if (recorded.TryGetProperty("entropy_int8_stride1", out _))
            Near(recorded, "entropy_int8_stride1", EntropyRange.Of(Of(name)));
    }

    [Fact]
    public void An_unsigned_grid_without_zeros_equals_the_recording()
    {
        var histogram = new MagnitudeHistogram("relu", 512, skipZeros: true);
        histogram.Observe(Recorded.Input("relu.0"));
        histogram.Observe(Recorded.Input("relu.1"));
        var recorded = Recorded.Results.GetProperty("relu_unsigned_512");
        Assert.Equal(recorded.GetProperty("num_bins").GetInt32(), histogram.Counts.Length);
        Near(recorded, "percentile_99.9", PercentileRange.Of(histogram, 99.9));
        Near(recorded, "entropy_int8", EntropyRange.Of(histogram, unsigned: true));
    }

    [Theory]
    [InlineData("gauss_1batch", 8)]
    [InlineData("relu", 4)]
    [InlineData("outlier", 8)]
    public void Divergence_by_running_sums_is_that_written_out(string name, int stretchBits)
    {
        var counts = EntropyRange.WithoutZeros(Of(name).Counts);
        var sums = new EntropyRange.Sums(counts);
        for (var kept = 128; kept <= counts.Length; kept += 97)
        {
            var expected = EntropyRange.PlainDivergence(counts, kept, 1 << (stretchBits - 1));
            var actual = sums.Divergence(kept, 1 << (stretchBits - 1));
            if (double.IsFinite(expected))
                Assert.Equal(expected, actual, 1e-12);
            else
                Assert.Equal(expected, actual);
        }
    }

    [Fact]
    public void Of_equal_divergences_the_last_counts()
    {
        long[] counts = [.. Enumerable.Repeat(1L, 256), .. new long[44]];
        var tensors = new Dictionary<string, Tensor>(new MagnitudeHistogram("m").ToTensors())
        {
            ["counts"] = StatisticTensors.Of<long>(counts, DType.I64, counts.Length),
            ["width"] = Tensor.From([1]),
        };
        var histogram = MagnitudeHistogram.FromTensors("m", tensors);
        Assert.Equal(300, EntropyRange.Of(histogram)); // from 256 on nothing is lost
        Assert.Equal(0, EntropyRange.Of(new MagnitudeHistogram("m")));
        Assert.Equal([7, 7, 3], EntropyRange.WithoutZeros([100, 7, 3])); // how many are 0 says nothing about the range
    }

    [Fact]
    public void Histograms_of_one_width_merge_exactly()
    {
        var first = Recorded.Input("gauss.0");
        var (whole, one, two) = (new MagnitudeHistogram("m"), new MagnitudeHistogram("m"), new MagnitudeHistogram("m"));
        foreach (var batch in new[] { first, first, Recorded.Input("gauss.1"), Recorded.Input("gauss.2") })
            whole.Observe(batch);
        one.Observe(first);
        one.Observe(Recorded.Input("gauss.1"));
        two.Observe(first);
        two.Observe(Recorded.Input("gauss.2"));
        var read = MagnitudeHistogram.FromTensors("m", one.ToTensors());
        read.Merge(MagnitudeHistogram.FromTensors("m", two.ToTensors()));
        // A batch is binned under the range of its time, a few ulps off the final one, so single counts may lie a bin further.
        Assert.Equal(whole.Counts.Length, read.Counts.Length);
        Assert.Equal(Total(whole), Total(read));
        Assert.True(Enumerable.Range(0, whole.Counts.Length).Sum(bin => Math.Abs(whole.Counts[bin] - read.Counts[bin])) <= 40);
    }

    [Fact]
    public void Histograms_of_two_widths_keep_every_count_within_a_bin()
    {
        var (fine, coarse) = (new MagnitudeHistogram("m"), new MagnitudeHistogram("m"));
        fine.Observe(Recorded.Input("gauss.0"));
        coarse.Observe(Recorded.Input("outlier.0"));
        var before = PercentileRange.Of(fine, 99);
        var total = Total(fine) + Total(coarse);
        fine.Merge(coarse);
        Assert.Equal(coarse.Width, fine.Width);
        Assert.Equal(total, Total(fine));
        coarse.Merge(new MagnitudeHistogram("m"));
        var again = new MagnitudeHistogram("m");
        again.Merge(coarse);
        Assert.Equal(coarse.Counts, again.Counts);
        Assert.InRange(PercentileRange.Of(fine, 99), before - 0.2, before + coarse.Width);
    }

    [Fact]
    public void Zeros_before_anything_else_are_counted()
    {
        var histogram = new MagnitudeHistogram("m");
        histogram.Observe(Tensor.Zeros(1, 5));
        Assert.Equal(0, PercentileRange.Of(histogram));
        Assert.Equal(0, histogram.Range);
        histogram = MagnitudeHistogram.FromTensors("m", histogram.ToTensors());
        histogram.Observe(Tensor.From([1, -2, 0], 1, 3));
        Assert.Equal(6, histogram.Counts[0]);
        Assert.Equal(1, histogram.Counts[^1]);
    }

    [Fact]
    public void A_tiny_first_batch_does_not_ask_for_all_memory()
    {
        var histogram = new MagnitudeHistogram("m");
        histogram.Observe(Tensor.From([1e-40f, 3e-41f], 1, 2));
        histogram.Observe(Tensor.From([3e38f, 1e-3f, 2e38f], 1, 3));
        Assert.InRange(histogram.Counts.Length, 1, MagnitudeHistogram.MostBins);
        Assert.Equal(5, Total(histogram));
        Assert.Equal(1, histogram.Counts[^1]);
        Assert.InRange(histogram.Range, 2.99e38f, 3.02e38f);
    }

    [Fact]
    public void Lies_are_refused()
    {
        Check("counts", [-1], 1);
        Check("counts", [long.MaxValue, long.MaxValue], 1);
        Check("width", [1], 0);
        Check("width", [1], float.NaN);
        Check("width", [1], -1);
        Check("F32", [1, 2, 3], float.MaxValue);
        Check("bins", new long[MagnitudeHistogram.MostBins + 1], 1);

        static void Check(string part, long[] counts, float width)
        {
            var tensors = new Dictionary<string, Tensor>(new MagnitudeHistogram("m").ToTensors())
            {
                ["counts"] = StatisticTensors.Of<long>(counts, DType.I64, counts.Length),
                ["width"] = Tensor.From([width]),
            };
            var error = Assert.Throws<QuantizationException>(() => MagnitudeHistogram.FromTensors("m", tensors));
            Assert.Contains(part, error.Message);
        }
    }

    static MagnitudeHistogram Of(string name)
    {
        var histogram = new MagnitudeHistogram(name);
        foreach (var batch in Recorded.Batches(name))
            histogram.Observe(batch);
        return histogram;
    }

    static long Total(MagnitudeHistogram histogram) => histogram.Counts.ToArray().Sum();

    static void Near(JsonElement recorded, string key, float actual) =>
        Close.Assert([recorded.GetProperty(key).GetDouble()], [actual], EdgeTolerance, because: key);
}
