using Nibble.Tensors;

namespace Nibble.Tests.Tensors;

public sealed unsafe class BlockPoolTests
{
    const long Mebibyte = 1 << 20;

    [Fact]
    public void A_large_block_is_used_again_for_a_similar_size()
    {
        var pool = new BlockPool(64 * Mebibyte);
        var block = pool.Take(9 * Mebibyte - 100);
        Assert.Equal(0, (nint)block % NativeStorage.Alignment);
        pool.Return(block, 9 * Mebibyte - 100);
        Assert.Equal(9 * Mebibyte, pool.KeptBytes);
        Assert.True(block == pool.Take(9 * Mebibyte));
        Assert.Equal(0, pool.KeptBytes);
        pool.Return(block, 9 * Mebibyte);
        pool.Clear();
        Assert.Equal(0, pool.KeptBytes);
    }

    [Fact]
    public void What_is_kept_stays_below_the_bound()
    {
        var pool = new BlockPool(8 * Mebibyte);
        var blocks = new nint[10];
        for (var i = 0; i < blocks.Length; i++)
            blocks[i] = (nint)pool.Take(3 * Mebibyte);
        foreach (var block in blocks)
        {
            pool.Return((byte*)block, 3 * Mebibyte);
            Assert.InRange(pool.KeptBytes, 3 * Mebibyte, 8 * Mebibyte);
        }
        pool.Clear();

        pool.Return(pool.Take(9 * Mebibyte), 9 * Mebibyte);
        Assert.Equal(0, pool.KeptBytes);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(Mebibyte - 1)]
    public void Small_blocks_are_not_kept(long bytes)
    {
        var pool = new BlockPool(8 * Mebibyte);
        pool.Return(pool.Take(bytes), bytes);
        Assert.Equal(0, pool.KeptBytes);
    }
}
