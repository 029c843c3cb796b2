using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration;

public sealed class LayerStatisticsTests
{
    [Fact]
    public void The_largest_magnitude_is_kept_by_modality()
    {
        var statistics = new LayerStatistics("m", 2, 4);
        statistics.Observe(Tensor.From([1, -3, 2, 0.5f, -0.25f, 0], 3, 2), row => row == 1 ? Modality.Vision : Modality.Text);
        Assert.Equal((3f, 2f, 3f), (statistics.AmaxOf(Modality.Text), statistics.AmaxOf(Modality.Vision), statistics.Amax));
        Assert.Equal((2L, 1L), (statistics.Tokens(Modality.Text), statistics.Tokens(Modality.Vision)));
        Assert.Equal([2f, 0.5f], statistics.Rows(Modality.Vision)!.Span<float>().ToArray());
        Assert.Null(new LayerStatistics("m", 2, 4).Rows(Modality.Text));
    }

    [Theory]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(100)]
    [InlineData(1000)]
    public void Kept_rows_are_an_even_spread(int rows)
    {
        var statistics = new LayerStatistics("m", 1, 8);
        for (var row = 0; row < rows; row += 50)
            statistics.Observe(Tensor.From([.. Enumerable.Range(row, Math.Min(50, rows - row)).Select(i => (float)i)], Math.Min(50, rows - row), 1),
                _ => Modality.Text);
        var kept = statistics.Rows(Modality.Text)!.Span<float>().ToArray();
        Assert.InRange(kept.Length, Math.Min(rows, 4), 8);
        var stride = kept.Length > 1 ? kept[1] - kept[0] : 1;
        Assert.Equal([.. Enumerable.Range(0, kept.Length).Select(i => i * stride)], kept);
        Assert.True(kept[^1] + stride >= rows, "The end is covered too.");
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void What_is_not_finite_stops_with_the_name(float value)
    {
        var statistics = new LayerStatistics("model.layers.3.mlp.up_proj", 2, 4);
        var error = Assert.Throws<QuantizationException>(() => statistics.Observe(Tensor.From([0, 1, 2, value], 2, 2), _ => Modality.Text));
        Assert.Contains("model.layers.3.mlp.up_proj", error.Message, StringComparison.Ordinal);
        Assert.Contains("token 1", error.Message, StringComparison.Ordinal);
        error = Assert.Throws<QuantizationException>(() => new KeyValueStatistics("a").Apply(Tensor.From([value], 1, 1), Draw.Tensor(1, 1, 1)));
        Assert.StartsWith("a: a key is ", error.Message, StringComparison.Ordinal);
    }
}
