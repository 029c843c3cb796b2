using Nibble.Quant;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration.Calibrators;

/// <summary>Statistics that are sums: against sums written out, in shards, and through tensors.</summary>
public class MomentsTests
{
    const double Sum = 1e-5; // of F32 products of a few tokens, relative to the largest: 3e-7 measured

    [Theory]
    [InlineData(0, 30)]
    [InlineData(8, 30)]
    [InlineData(8, 5)]
    [InlineData(8, 17)]
    public void Block_moments_are_sums_over_tokens(int sampled, int tokens)
    {
        var x = Draw.Tensor(3, tokens, 12);
        var moments = new BlockMoments("m", 12, 4, sampled);
        moments.Observe(x);
        var stride = sampled == 0 ? 1 : Math.Max(1, tokens / sampled);
        int[] taken = [.. Enumerable.Range(0, tokens).Where(token => token % stride == 0)];
        for (var block = 0; block < 3; block++)
            for (var i = 0; i < 16; i++)
            {
                var expected = taken.Sum(token => (double)x.Row(token)[block * 4 + i / 4] * x.Row(token)[block * 4 + i % 4]);
                Assert.Equal(sampled == 0 ? expected : expected / taken.Length, moments.Of(block)[i], 1e-12);
            }
    }

    [Fact]
    public void Shards_merge_through_tensors()
    {
        var (blocks, inputs, cache) = (new BlockMoments("m", 12, 4), new AwqInputs("m", 12), new CenteredCache("m", 12));
        var (blocks2, inputs2, cache2) = (new BlockMoments("m", 12, 4), new AwqInputs("m", 12), new CenteredCache("m", 12));
        var (allBlocks, allInputs, allCache) = (new BlockMoments("m", 12, 4), new AwqInputs("m", 12), new CenteredCache("m", 12));
        for (var i = 0; i < 4; i++)
        {
            var x = Draw.Tensor(i, 3 + i, 12);
            (i % 2 == 0 ? blocks : blocks2).Observe(x);
            (i % 2 == 0 ? inputs : inputs2).Observe(x);
            (i % 2 == 0 ? cache : cache2).Observe(x, i);
            allBlocks.Observe(x);
            allInputs.Observe(x);
            allCache.Observe(x, i);
        }
        var readBlocks = BlockMoments.FromTensors("m", blocks.ToTensors());
        readBlocks.Merge(blocks2);
        for (var i = 0; i < 16; i++)
            Assert.Equal(allBlocks.Of(2)[i], readBlocks.Of(2)[i], 1e-12);

        var readInputs = AwqInputs.FromTensors("m", inputs.ToTensors());
        readInputs.Merge(inputs2);
        Assert.Equal(4, readInputs.Calls);
        Assert.Equal(allInputs.Amax, readInputs.Amax);
        Close.Assert(allInputs.MeanMagnitude(), readInputs.MeanMagnitude(), 1e-6);
        Close.Assert(allInputs.Moments.Span<float>(), readInputs.Moments.Span<float>(), 0, Sum);

        var readCache = CenteredCache.FromTensors("m", cache.ToTensors());
        readCache.Merge(cache2);
        Close.Assert(allCache.Bias(), readCache.Bias(), 1e-6);
        Assert.Equal(4, readCache.Batches);
        Assert.Equal(Math.Max(cache.Amax, cache2.Amax), readCache.Amax);
    }

    [Fact]
    public void A_cache_is_centred_on_the_mean_of_the_batches_so_far()
    {
        var cache = new CenteredCache("m", 2);
        Assert.Equal((0, 0), (cache.Amax, cache.Batches));
        cache.Observe(Tensor.From([1, 10, 3, 10], 2, 2), 0); // means 2 and 10
        cache.Observe(Tensor.Zeros(0, 2), 1);
        cache.Observe(Tensor.From([6, -10], 1, 2), 2);       // means 6 and -10
        Assert.Equal([4, 0], cache.Bias());
        Assert.Equal((10, 2), (cache.Amax, cache.Batches));
        cache.Observe(Tensor.From([4, 30], 1, 2), 3);        // means 4 and 10
        Assert.Equal([4, 10], cache.Bias());
        Assert.Equal(20, cache.Amax);

        var early = new CenteredCache("m", 1);
        early.Observe(Tensor.From([8], 1, 1), 0);   // 0 from 8
        early.Observe(Tensor.From([0], 1, 1), 1);   // 4 from 4
        Assert.Equal(4, early.Amax);
        early.Observe(Tensor.From([-16], 1, 1), 2); // 13 1/3 from -2 2/3, while 8 is not looked at again
        Assert.Equal(16 - 8 / 3f, early.Amax, 1e-5f);
    }

    [Fact]
    public void Samples_of_one_batch_are_one_mean()
    {
        var cache = new CenteredCache("m", 1);
        cache.Observe(Tensor.From([8], 1, 1), 5);
        cache.Observe(Tensor.From([0, 1], 2, 1), 5); // mean 3, as far as 5 from 8
        cache.Observe(Tensor.From([5], 1, 1), 6);    // mean 5
        Assert.Equal([4], cache.Bias());
        Assert.Equal((5, 2), (cache.Amax, cache.Batches));
    }

    [Fact]
    public void Lies_are_refused()
    {
        Assert.Contains("multiple of the block 5",
            Assert.Throws<QuantizationException>(() => new BlockMoments("m", 12, 5)).Message);
        var inputs = new Dictionary<string, Tensor>(new AwqInputs("m", 4).ToTensors()) { ["moments"] = Tensor.Zeros(4, 3) };
        Assert.Contains("[4, 4]", Assert.Throws<QuantizationException>(() => AwqInputs.FromTensors("m", inputs)).Message);
        inputs["moments"] = Tensor.From([float.NaN, .. new float[15]], 4, 4);
        Assert.Contains("NaN", Assert.Throws<QuantizationException>(() => AwqInputs.FromTensors("m", inputs)).Message);
        var blocks = new Dictionary<string, Tensor> { ["block_moments"] = Tensor.Zeros(new Shape(3, 4, 2), DType.F64) };
        Assert.Contains("[3, 4, 2]", Assert.Throws<QuantizationException>(() => BlockMoments.FromTensors("m", blocks)).Message);
        var cache = new Dictionary<string, Tensor>(new CenteredCache("m", 4).ToTensors()) { ["running_amax"] = Tensor.Zeros(5) };
        Assert.Contains("5", Assert.Throws<QuantizationException>(() => CenteredCache.FromTensors("m", cache)).Message);
    }
}
