using Nibble.Tensors;

namespace Nibble.Tests.Tensors;

public class ShapeTests
{
    [Fact]
    public void Dimensions_and_elements()
    {
        var shape = new Shape(2, 3, 5);
        Assert.Equal(3, shape.Rank);
        Assert.Equal(30, shape.Elements);
        Assert.Equal(2, shape[0]);
        Assert.Equal(5, shape[-1]);
        Assert.Equal(3, shape[-2]);
        Assert.Equal("[2, 3, 5]", shape.ToString());
        Assert.Equal(0, new Shape(4, 0, 7).Elements);
    }

    [Fact]
    public void A_scalar_has_no_dimension_and_one_element()
    {
        foreach (var scalar in (Shape[])[default, new Shape()])
        {
            Assert.Equal(0, scalar.Rank);
            Assert.Equal(1, scalar.Elements);
            Assert.Equal("[]", scalar.ToString());
        }
        Assert.Equal(default, new Shape());
    }

    [Fact]
    public void Equality_is_by_dimensions()
    {
        Assert.True(new Shape(2, 3) == new Shape(2, 3));
        Assert.True(new Shape(2, 3) != new Shape(3, 2));
        Assert.False(new Shape(6).Equals(new Shape(6, 1)));
        Assert.Equal(new Shape(2, 3).GetHashCode(), new Shape(2, 3).GetHashCode());
        Assert.False(new Shape(2).Equals("[2]"));
    }

    [Fact]
    public void A_shape_does_not_change_with_the_array_it_came_from()
    {
        long[] dimensions = [2, 3];
        var shape = new Shape(dimensions);
        dimensions[0] = 9;
        Assert.Equal(2, shape[0]);
    }

    [Fact]
    public void Impossible_shapes_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new Shape(2, -1));
        Assert.Throws<OverflowException>(() => new Shape(long.MaxValue, 2));
    }
}
