using Nibble.Quant;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration.Calibrators;

public class BlockHeadroomTests
{
    /// <summary>A power of two in F32: equal bits measured, as F32 prints them.</summary>
    const double Tolerance = 1e-6;

    [Theory, MemberData(nameof(Recorded.Names), MemberType = typeof(Recorded))]
    public void Equals_the_recording_also_in_shards(string name)
    {
        var recorded = Recorded.Case(name).GetProperty("nvfp4_act_headroom");
        var whole = new BlockHeadroom(name);
        foreach (var batch in Recorded.Batches(name))
        {
            var shard = new BlockHeadroom(name);
            shard.Observe(batch);
            whole.Merge(BlockHeadroom.FromTensors(name, shard.ToTensors()));
        }
        foreach (var upper in new[] { 99.99, 100 })
        {
            var expected = recorded.GetProperty(upper == 100 ? "upper_100.0" : "upper_99.99").GetDouble();
            Close.Assert([expected], [whole.Range(upper: upper)], Tolerance);
        }
    }

    [Fact]
    public void Large_blocks_count_where_they_are_2_to_the_14_above_small_ones()
    {
        var headroom = new BlockHeadroom("m");
        Assert.Equal(0, headroom.Range());
        headroom.Observe(Tensor.Zeros(3, 20));
        Assert.Equal(0, headroom.Range());
        headroom.Observe(Tensor.From([1e-3f], 1, 1));
        headroom.Observe(Tensor.From([1e5f], 1, 1));
        Assert.InRange(headroom.Range(), 0.9e5f, 1.1e5f);
    }

    [Fact]
    public void Lies_are_refused()
    {
        var tensors = new Dictionary<string, Tensor> { ["block_counts"] = Tensor.Zeros(new Shape(3), DType.I64) };
        Assert.Contains("512", Assert.Throws<QuantizationException>(() => BlockHeadroom.FromTensors("m", tensors)).Message);
    }
}
