using Nibble.Quant;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration.Calibrators;

public class ChannelAmaxTests
{
    [Theory, MemberData(nameof(Recorded.Names), MemberType = typeof(Recorded))]
    public void Equals_the_recording(string name)
    {
        var expected = Recorded.Histogram(name + ".max_per_column").Span<float>();
        var amax = new ChannelAmax(name, expected.Length);
        foreach (var batch in Recorded.Batches(name))
            amax.Observe(batch);
        Assert.Equal(expected, amax.PerChannel);
        Assert.Equal(Recorded.Case(name).GetProperty("max").GetSingle(), amax.Largest);
    }

    [Fact]
    public void Shards_merge_to_the_whole_through_tensors()
    {
        var whole = new ChannelAmax("m", 37);
        var parts = new[] { new ChannelAmax("m", 37), new ChannelAmax("m", 37) };
        for (var i = 0; i < 6; i++)
        {
            whole.Observe(Draw.Tensor(i, 1 + i, 37));
            parts[i % 2].Observe(Draw.Tensor(i, 1 + i, 37));
        }
        var read = ChannelAmax.FromTensors("m", parts[0].ToTensors());
        read.Merge(parts[1]);
        Assert.Equal(whole.PerChannel, read.PerChannel);
    }

    [Fact]
    public void Lies_are_refused_by_name()
    {
        var amax = new ChannelAmax("mlp.up_proj", 3);
        Check("2 columns", () => amax.Observe(Tensor.Zeros(1, 2)), "mlp.up_proj", "3 columns", "[1, 2]");
        Check("NaN", () => amax.Observe(Tensor.From([1, float.NaN, 2], 1, 3)), "mlp.up_proj", "NaN", "token 0");
        Check("merge", () => amax.Merge(new ChannelAmax("x", 4)), "mlp.up_proj", "3", "4");
        Check("missing", () => ChannelAmax.FromTensors("m", new Dictionary<string, Tensor>()), "m", "amax");
        Check("type", () => Read(Tensor.Zeros(new Shape(3), DType.I64)), "F32", "I64");
        Check("negative", () => Read(Tensor.From([1, -1, 2])), "-1");
        Check("infinite", () => Read(Tensor.From([1, float.PositiveInfinity])), "amax");

        static void Read(Tensor values) => ChannelAmax.FromTensors("m", new Dictionary<string, Tensor> { ["amax"] = values });
        static void Check(string what, Action act, params string[] parts)
        {
            var error = Assert.Throws<QuantizationException>(act);
            Assert.All(parts, part => Assert.True(error.Message.Contains(part), $"{what}: '{part}' is not in: {error.Message}"));
        }
    }
}
