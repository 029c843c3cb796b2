using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class ArgMaxTests
{
    const float Infinity = float.PositiveInfinity;

    [Fact]
    public void Equals_the_definition_at_every_length()
    {
        for (var length = 1; length <= 256; length++)
        {
            float[] normal = Draw.Normal(length, length), ties = Draw.Ties(length, length);
            Assert.Equal(ArgMax.Definition(normal), ArgMax.Apply(normal));
            Assert.Equal(ArgMax.Definition(ties), ArgMax.Apply(ties));
        }
    }

    [Theory]
    [InlineData(new float[] { 1, 3, 2, 3 }, 1)]
    [InlineData(new float[] { -0f, 0f, -1 }, 0)]
    [InlineData(new float[] { -Infinity, -Infinity }, 0)]
    [InlineData(new float[] { 5, Infinity, Infinity }, 1)]
    [InlineData(new float[] { 5, Infinity, float.NaN, float.NaN }, 2)]
    [InlineData(new float[] { 5 }, 0)]
    public void The_first_of_equals_wins_and_NaN_is_largest(float[] values, int expected)
    {
        Assert.Equal(expected, ArgMax.Apply(values));
        Assert.Equal(expected, ArgMax.Definition(values));
        for (var padding = 1; padding < 40; padding++) // the same further on, in every lane
            Assert.Equal(expected, ArgMax.Apply([.. values, .. Enumerable.Repeat(values.Min(), padding)]));
    }

    [Fact]
    public void Every_row_has_its_own()
    {
        using Tensor x = Tensor.From([1, 2, 4, 3], 2, 2), none = Tensor.Zeros(2, 0);
        Assert.Equal([1, 0], ArgMax.Apply(x));
        Assert.Empty(ArgMax.Apply(none));
        Assert.Throws<ShapeException>(() => ArgMax.Apply(ReadOnlySpan<float>.Empty));
    }
}
