using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class TopKTests
{
    [Fact]
    public void Equals_the_definition_for_every_length()
    {
        for (var length = 1; length <= 256; length++)
            foreach (var k in (int[])[1, 2, 8, length / 2, length - 1, length])
                if (k <= length)
                {
                    Check(Draw.Normal(length, length), k);
                    Check(Draw.Ties(length, length), k);
                }
        for (var k = 0; k <= Draw.Extremes().Length; k++)
            Check(Draw.Extremes(), k);
    }

    [Fact]
    public void Of_equals_the_lower_index_comes_first()
    {
        Assert.Equal([1, 4, 0, 2], TopK.Apply([2, 3, 2, 2, 3], 4));
        Assert.Equal([0, 1], TopK.Apply([-0f, 0f, 0f], 2));
        Assert.Equal([2, 1], TopK.Apply([5, float.PositiveInfinity, float.NaN], 2));
    }

    [Fact]
    public void Every_row_has_its_own()
    {
        using var x = Tensor.From([1, 2, 3, 9, 8, 7], 2, 3);
        Assert.Equal([2, 1, 0, 1], TopK.Apply(x, 2));
        Assert.Equal("TopK: k must be from 0 to 3, the number of values; got 4.",
            Assert.Throws<ShapeException>(() => TopK.Apply(x, 4)).Message);
        Assert.Throws<ShapeException>(() => TopK.Apply([1f], -1));
    }

    static void Check(float[] values, int k)
    {
        var expected = new int[k];
        TopK.Definition(values, expected);
        Assert.Equal(expected, TopK.Apply(values, k));
    }
}
