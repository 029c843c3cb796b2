using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class RopeGradientTests
{
    /// <summary>A rotation is linear, so its gradient g satisfies rotate(x)·dy = x·g for all x and dy. cos and sin need not be of one angle.</summary>
    [Theory, InlineData(8, false), InlineData(5, false), InlineData(8, true), InlineData(5, true)]
    public void The_gradient_is_the_transpose(int pairs, bool neighbouringPairs)
    {
        const int tokens = 7, heads = 3, width = 19;
        using Tensor cos = Draw.Tensor(1, tokens, pairs), sin = Draw.Tensor(2, tokens, pairs);
        using Tensor x = Draw.Tensor(3, tokens, heads, width), dy = Draw.Tensor(4, tokens, heads, width);
        var expected = new double[x.Elements];
        for (var i = 0; i < x.Elements; i++)
        {
            var (unit, turned) = (new float[width], new double[width]);
            unit[i % width] = 1;
            Rope.Definition(unit, cos.Row(i / width / heads), sin.Row(i / width / heads), neighbouringPairs, turned);
            for (var c = 0; c < width; c++)
                expected[i] += turned[c] * dy.Row(i / width)[c];
        }
        var before = sin.Span<float>().ToArray();
        RopeGradient.Apply(dy, cos, sin, neighbouringPairs);
        Close.Scaled(expected, dy.Span<float>(), Close.Rope);
        Assert.Equal(before, sin.Span<float>().ToArray());
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using Tensor x = Tensor.Zeros(2, 3, 8), cos = Tensor.Zeros(2, 4), sin = Tensor.Zeros(3, 4);
        Assert.Throws<ShapeException>(() => RopeGradient.Apply(x, cos, sin));
    }
}
