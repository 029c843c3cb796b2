using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors.Ops;

public class EmbeddingTests
{
    [Theory, InlineData(DType.F32), InlineData(DType.BF16), InlineData(DType.F16)]
    public void Rows_are_looked_up_and_widened(DType type)
    {
        int[] ids = [8, 0, 3, 3];
        for (var width = 1; width <= 70; width++)
        {
            using Tensor table = Table(type, 9, width), wide = Nibble.Tensors.Convert.ToF32(table), y = Tensor.Empty(4, width);
            Embedding.Apply(table, ids, y);
            for (var t = 0; t < ids.Length; t++)
                Assert.Equal(wide.Row(ids[t]).ToArray(), y.Row(t).ToArray());
        }
    }

    [Theory, InlineData(9), InlineData(-1), InlineData(int.MinValue)]
    public void An_id_out_of_range_is_named_and_nothing_is_written(int id)
    {
        using Tensor table = Tensor.Zeros(9, 4), y = Tensor.Empty(3, 4);
        y.Span<float>().Fill(7);
        var message = Assert.Throws<ShapeException>(() => Embedding.Apply(table, [1, id, 2], y)).Message;
        Assert.Equal($"Embedding: ids[1] = {id} is no row of table = [9, 4] F32.", message);
        Assert.All(y.Span<float>().ToArray(), value => Assert.Equal(7, value));
    }

    [Fact]
    public void Other_shapes_and_types_are_refused()
    {
        using Tensor table = Tensor.Zeros(9, 4), integers = Tensor.Zeros(new Shape(9, 4), DType.I32), y = Tensor.Empty(2, 4);
        Assert.Throws<ShapeException>(() => Embedding.Apply(table, [1], y));
        Assert.Throws<ShapeException>(() => Embedding.Apply(integers, [1, 2], y));
    }

    static Tensor Table(DType type, int rows, int columns)
    {
        var table = Tensor.Empty(new Shape(rows, columns), type);
        var values = Draw.Normal(rows * columns, seed: columns);
        if (type == DType.F32)
            values.CopyTo(table.Span<float>());
        else if (type == DType.F16)
            for (var i = 0; i < values.Length; i++)
                table.Span<Half>()[i] = (Half)values[i];
        else
            Nibble.Tensors.Convert.ToBF16(values, table.Span<ushort>());
        return table;
    }
}
