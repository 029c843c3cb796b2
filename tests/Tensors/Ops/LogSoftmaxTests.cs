using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class LogSoftmaxTests
{
    const float Infinity = float.PositiveInfinity;

    [Fact]
    public void Host_equals_the_definition_at_every_length()
    {
        for (var length = 1; length <= 256; length++)
            Check(Draw.Normal(length, length, deviation: 5), $"length {length}");
        Check(Draw.Normal(150_001, seed: 1), "a vocabulary");
        Check(Draw.Ties(77, seed: 1), "ties");
    }

    [Fact]
    public void Host_equals_the_definition_at_extremes()
    {
        Check(new float[37], "zeros");
        Check([1e30f, 1e30f, -1e30f, 0], "large");
        Check([1000, 1001, 999.5f, 900], "would overflow without the maximum subtracted");
        Check([.. Enumerable.Repeat(-Infinity, 20), 1, 2], "removed tokens");
        Check([.. Enumerable.Repeat(-Infinity, 37)], "nothing left");
        Check([1, Infinity, 2], "infinity");
        Check([.. Draw.Normal(40, seed: 2), float.NaN], "NaN");
    }

    [Fact]
    public void Apply_may_work_in_place()
    {
        using Tensor x = Draw.Tensor(1, 300, 257), y = Tensor.Empty(x.Shape), other = Tensor.Zeros(257, 300);
        LogSoftmax.Apply(x, y);
        LogSoftmax.Apply(x, x);
        Assert.Equal(y.Span<float>().ToArray(), x.Span<float>().ToArray());
        Assert.Throws<ShapeException>(() => LogSoftmax.Apply(x, other));
    }

    static void Check(float[] x, string because)
    {
        var expected = new double[x.Length];
        var actual = new float[x.Length];
        LogSoftmax.Definition(x, expected);
        LogSoftmax.Host(x, actual);
        Close.Scaled(expected, actual, Close.LogSoftmax, because);
    }
}
