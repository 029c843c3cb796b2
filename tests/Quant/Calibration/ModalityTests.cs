using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration;

/// <summary>Statistics kept apart by modality: together they are those of everything, and shards merge to the whole.</summary>
public sealed class ModalityTests
{
    /// <summary>Sums of products in F32, of the largest: 3e-7 measured.</summary>
    const double Sum = 2e-6;

    static readonly StatisticNeeds All = new(
        Channels: true, Awq: true, MomentBlock: 4, SampledTokens: 0, Histogram: true, Headroom: true, Moments: true);

    static Modality Of(int row) => row % 3 == 1 ? Modality.Vision : Modality.Text;

    static LayerStatistics Observe(IEnumerable<int> calls, Func<int, Modality>? modality = null)
    {
        var statistics = new LayerStatistics("m", 12, 8, All);
        foreach (var call in calls)
            statistics.Observe(Draw.Tensor(call, 3 + call, 12), modality ?? Of, call);
        return statistics;
    }

    [Fact]
    public void Together_they_are_the_statistics_of_all_rows()
    {
        using LayerStatistics split = Observe([0, 1, 2, 3]), whole = Observe([0, 1, 2, 3], _ => Modality.Text);
        Assert.Equal(whole.Tokens(Modality.Text), split.Tokens(Modality.Text) + split.Tokens(Modality.Vision));
        Assert.NotEqual(0, split.Tokens(Modality.Vision));
        Assert.Equal(whole.Channels!.PerChannel, split.Channels!.PerChannel);
        Assert.Equal(whole.Headroom!.Range(), split.Headroom!.Range());
        Assert.Equal(whole.Awq!.Calls, split.Awq!.Calls, 1e-12);
        Close.Assert(whole.Awq.MeanMagnitude(), split.Awq.MeanMagnitude(), 1e-6);
        Close.Scaled(Wide(whole.Awq.Moments), split.Awq.Moments.Span<float>(), Sum);
        for (var block = 0; block < 3; block++)
            for (var i = 0; i < 16; i++)
                Assert.Equal(whole.Blocks!.Of(block)[i], split.Blocks!.Of(block)[i], 1e-12);
        Assert.Equal(whole.Histogram!.Counts.ToArray().Sum(), split.Histogram!.Counts.ToArray().Sum());
        for (var fold = 0; fold < 2; fold++)
        {
            var expected = whole.MomentsOf(Modality.Text, fold)!;
            SecondMomentsAre(expected.Sums, split.MomentsOf(Modality.Text, fold)!.Sums, split.MomentsOf(Modality.Vision, fold)!.Sums);
            Assert.Equal(expected.Tokens, split.MomentsOf(Modality.Text, fold)!.Tokens + split.MomentsOf(Modality.Vision, fold)!.Tokens);
        }
    }

    [Fact]
    public void Each_has_the_rows_that_are_its_own()
    {
        using var statistics = Observe([2]);
        var x = Draw.Tensor(2, 5, 12);
        var largest = new float[12];
        foreach (var row in (int[])[1, 4])
            for (var channel = 0; channel < 12; channel++)
                largest[channel] = Math.Max(largest[channel], MathF.Abs(x.Row(row)[channel]));
        Assert.Equal(largest, statistics.ChannelsOf(Modality.Vision)!.PerChannel.ToArray());
        Assert.Equal(2 / 5.0, statistics.AwqOf(Modality.Vision)!.Calls);
        Assert.Null(statistics.MomentsOf(Modality.Vision, 1));
    }

    [Fact]
    public void Shards_merge_to_the_whole_through_tensors()
    {
        using LayerStatistics whole = Observe([0, 1, 2, 3]), first = Observe([0, 2]), second = Observe([1, 3]);
        using var merged = LayerStatistics.FromTensors("m", 12, 8, All, first.ToTensors());
        merged.Merge(second);
        foreach (var modality in Enum.GetValues<Modality>())
        {
            Assert.Equal(whole.Tokens(modality), merged.Tokens(modality));
            Assert.Equal(whole.AmaxOf(modality), merged.AmaxOf(modality));
            Assert.Equal(whole.ChannelsOf(modality)!.PerChannel, merged.ChannelsOf(modality)!.PerChannel);
            Close.Scaled(Wide(whole.AwqOf(modality)!.Moments), merged.AwqOf(modality)!.Moments.Span<float>(), Sum);
            Assert.InRange(merged.Rows(modality)!.Rows, 4, 8);
        }
        Assert.Equal(whole.Headroom!.Range(), merged.Headroom!.Range());
        using LayerStatistics early = Observe([0, 1]), late = Observe([2, 3]); // both have samples of either fold
        early.Merge(late);
        foreach (var modality in Enum.GetValues<Modality>())
            for (var fold = 0; fold < 2; fold++)
            {
                Assert.Equal(whole.MomentsOf(modality, fold)!.Tokens, early.MomentsOf(modality, fold)!.Tokens);
                Close.Scaled(Wide(whole.MomentsOf(modality, fold)!.Sums), early.MomentsOf(modality, fold)!.Sums.Span<float>(), Sum);
            }
        Assert.Throws<QuantizationException>(() => merged.Merge(new LayerStatistics("m", 11, 8, All)));
    }

    [Fact]
    public void Tensors_read_back_are_the_same_tensors()
    {
        using var statistics = Observe([0, 1]);
        var tensors = statistics.ToTensors();
        using var read = LayerStatistics.FromTensors("m", 12, 8, All, tensors);
        var again = read.ToTensors();
        Assert.Equal(tensors.Keys.Order(), again.Keys.Order());
        foreach (var (name, tensor) in tensors)
            Assert.Equal((name, Formats.Fingerprint.Of(tensor)), (name, Formats.Fingerprint.Of(again[name])));
    }

    [Theory]
    [InlineData("vision/tokens", "tokens")]
    [InlineData("text/amax", "amax")]
    [InlineData("text/channels/amax", "channels")]
    [InlineData("vision/histogram/counts", "histogram")]
    [InlineData("text/headroom/block_counts", "headroom")]
    [InlineData("text/blocks/block_moments", "blocks")]
    [InlineData("text/awq/moments", "awq")]
    [InlineData("vision/moments.1/sums", "moments.1")]
    public void A_missing_tensor_is_named(string tensor, string told)
    {
        using var statistics = Observe([0, 1]);
        var tensors = new Dictionary<string, Tensor>(statistics.ToTensors());
        Assert.True(tensors.Remove(tensor), string.Join(" ", tensors.Keys));
        var error = Assert.Throws<QuantizationException>(() => LayerStatistics.FromTensors("mlp.up_proj", 12, 8, All, tensors));
        Assert.Contains("mlp.up_proj", error.Message, StringComparison.Ordinal);
        Assert.Contains(told, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Statistics_of_another_width_are_refused()
    {
        using var statistics = Observe([0, 1]);
        var tensors = statistics.ToTensors();
        foreach (var one in (StatisticNeeds[])[new(Channels: true), new(MomentBlock: 4), new(Awq: true), new(Moments: true)])
            Assert.Contains("13", Assert.Throws<QuantizationException>(
                () => LayerStatistics.FromTensors("m", 13, 0, one, tensors)).Message, StringComparison.Ordinal);
        Assert.Contains("channels a block", Assert.Throws<QuantizationException>(
            () => LayerStatistics.FromTensors("m", 12, 0, new(MomentBlock: 6), tensors)).Message, StringComparison.Ordinal);
    }

    static double[] Wide(Tensor tensor) => [.. tensor.Span<float>().ToArray().Select(value => (double)value)];

    static void SecondMomentsAre(Tensor expected, Tensor one, Tensor other)
    {
        float[] sum = [.. one.Span<float>().ToArray().Zip(other.Span<float>().ToArray(), (a, b) => a + b)];
        Close.Scaled(Wide(expected), sum, Sum);
    }
}
