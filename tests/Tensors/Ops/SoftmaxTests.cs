using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class SoftmaxTests
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
        Check([float.MaxValue, float.MinValue], "the range");
        Check([1000, 1001, 999.5f, 900], "would overflow without the maximum subtracted");
        Check([.. Enumerable.Repeat(-Infinity, 20), 1, 2], "removed tokens");
        Check([.. Enumerable.Repeat(-Infinity, 37)], "nothing left");
        Check([1, Infinity, 2], "infinity");
        Check([.. Draw.Normal(40, seed: 2), float.NaN], "NaN at the end");
        Check([float.NaN, .. Draw.Normal(40, seed: 2)], "NaN at the beginning");
    }

    [Fact]
    public void A_row_of_negative_infinities_becomes_zeros()
    {
        using var x = Tensor.From([-Infinity, -Infinity, 0, 0], 2, 2);
        Softmax.Apply(x, x);
        Assert.Equal([0, 0, 0.5f, 0.5f], x.Span<float>().ToArray());
    }

    [Fact]
    public void Apply_treats_every_row_alone_and_may_work_in_place()
    {
        using Tensor x = Draw.Tensor(1, 800, 257), y = Tensor.Empty(x.Shape);
        Softmax.Apply(x, y);
        for (var row = 0; row < x.Rows; row++)
        {
            var expected = new float[257];
            Softmax.Host(x.Row(row), expected);
            Assert.Equal(expected, y.Row(row).ToArray());
        }
        Softmax.Apply(x, x);
        Assert.Equal(y.Span<float>().ToArray(), x.Span<float>().ToArray());
        using var other = Tensor.Zeros(257, 800);
        Assert.Throws<ShapeException>(() => Softmax.Apply(x, other));
    }

    static void Check(float[] x, string because)
    {
        var expected = new double[x.Length];
        var actual = new float[x.Length];
        Softmax.Definition(x, expected);

        Softmax.Host<Floats4>(x, actual);
        Close.Assert(expected, actual, Close.Softmax, Close.Vanishing, $"{because}, 4 lanes");
        Softmax.Host<Floats8>(x, actual);
        Close.Assert(expected, actual, Close.Softmax, Close.Vanishing, $"{because}, 8 lanes");
        Softmax.Host<Floats16>(x, actual);
        Close.Assert(expected, actual, Close.Softmax, Close.Vanishing, $"{because}, 16 lanes");
    }
}
