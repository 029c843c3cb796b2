using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Tests.Models;

public class KvCacheTests
{
    [Theory, InlineData(0), InlineData(1), InlineData(100)]
    public void Holds_everything_in_order_however_often_it_grows(int capacity)
    {
        const int heads = 2, width = 3;
        var layer = new KvLayer(heads, width, capacity);
        var expected = new List<float>();
        for (var added = 1; added <= 9; added++)
        {
            var values = Enumerable.Range(expected.Count, added * heads * width).Select(i => (float)i).ToArray();
            expected.AddRange(values);
            var (keys, all) = layer.Append(Tensor.From(values, added, heads, width),
                Tensor.From([.. values.Select(value => -value)], added, heads, width));
            Assert.Equal(new Shape(expected.Count / (heads * width), heads, width), keys.Shape);
            Assert.Equal(expected, keys.Span<float>().ToArray());
            Assert.Equal(expected.Select(value => -value), all.Span<float>().ToArray());
        }
        Assert.Equal(45, layer.Length);
        Assert.InRange(layer.Bytes, 2 * 45 * heads * width * 4, 2 * 100 * heads * width * 4);
    }
}
