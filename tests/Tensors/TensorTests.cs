using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors;

public class TensorTests
{
    [Fact]
    public void Rows_and_columns()
    {
        using var x = Tensor.From(Draw.Normal(24, seed: 1), 2, 3, 4);
        Assert.Equal((6, 4), (x.Rows, x.Columns));
        Assert.Equal(x.Span<float>().Slice(20, 4).ToArray(), x.Row(5).ToArray());
        Assert.Equal("[2, 3, 4] F32", x.ToString());
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Row(6).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => x.Row(-1).Length);
    }

    [Theory, InlineData(new long[] { 0, 4 }, 0, 4), InlineData(new long[] { 4, 0 }, 0, 0), InlineData(new long[] { }, 1, 1)]
    public void Empty_tensors_and_scalars(long[] dimensions, int rows, int columns)
    {
        using var x = Tensor.Zeros(dimensions);
        Assert.Equal((rows, columns), (x.Rows, x.Columns));
        Assert.Equal(x.Elements, x.Span<float>().Length);
    }

    [Fact]
    public unsafe void Memory_is_aligned_to_a_cache_line()
    {
        using Tensor x = Tensor.Empty(3), y = Tensor.Empty(5);
        Assert.Equal(0u, (nuint)x.Pointer % NativeStorage.Alignment);
        Assert.Equal(0u, (nuint)y.Pointer % NativeStorage.Alignment);
    }

    [Fact]
    public void Zeros_are_zero() => Assert.All(Tensor.Zeros(3, 5).Span<float>().ToArray(), value => Assert.Equal(0, value));

    [Fact]
    public void Slices_and_reshapes_share_memory_and_copies_do_not()
    {
        using var x = Tensor.From([1, 2, 3, 4, 5, 6], 3, 2);
        using var copy = x.Clone();
        var slice = x.Slice(1, 2);
        Assert.Equal(new Shape(2, 2), slice.Shape);
        slice.Row(0)[0] = 30;
        x.Reshape(6).Span<float>()[5] = 60;

        Assert.Equal([1, 2, 30, 4, 5, 60], x.Span<float>().ToArray());
        Assert.Equal([30, 4, 5, 60], slice.Span<float>().ToArray());
        Assert.Equal([1, 2, 3, 4, 5, 6], copy.Span<float>().ToArray());
        Assert.Equal([5, 60], slice.Slice(1, 1).Span<float>().ToArray());
    }

    [Fact]
    public void What_lies_outside_is_refused()
    {
        using var x = Tensor.Zeros(3, 2);
        Assert.Contains("[3, 2] F32 has no entries 2 to 4", Assert.Throws<ShapeException>(() => x.Slice(2, 2)).Message);
        Assert.Throws<ShapeException>(() => x.Slice(-1, 1));
        Assert.Throws<ShapeException>(() => x.Slice(0, -1));
        Assert.Throws<ShapeException>(() => x.Slice(long.MaxValue, 1));
        Assert.Throws<ShapeException>(() => Tensor.Zeros().Slice(0, 1));
        Assert.Contains("cannot become [4]", Assert.Throws<ShapeException>(() => x.Reshape(4)).Message);
        Assert.Throws<ShapeException>(() => x.Span<double>().Length);
        Assert.Throws<ShapeException>(() => x.Row<byte>(0).Length);
    }

    [Fact]
    public void A_view_beyond_its_storage_is_refused()
    {
        using var storage = new NativeStorage(16);
        Assert.Equal(2, new Tensor(storage, 8, new Shape(2), DType.F32).Elements);
        foreach (var offset in (long[])[-1, 9, long.MaxValue])
            Assert.Throws<ArgumentException>(() => new Tensor(storage, offset, new Shape(2), DType.F32));
        Assert.Throws<OverflowException>(() => new Tensor(storage, 0, new Shape(long.MaxValue / 2), DType.F32));
    }

    [Fact]
    public void A_tensor_keeps_its_storage_alive_and_dispose_releases_it()
    {
        var x = Tensor.From([1, 2, 3]);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Equal([1, 2, 3], x.Span<float>().ToArray());

        x.Dispose();
        unsafe
        {
            Assert.True(x.Storage.Pointer is null);
        }
        x.Dispose();
    }
}
