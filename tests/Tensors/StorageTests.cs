using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Tensors;

public class StorageTests
{
    /// <summary>Not a whole number of pages.</summary>
    const int Bytes = 300_001;

    [Theory, InlineData(0, Bytes), InlineData(1, 1), InlineData(4095, 4098), InlineData(Bytes - 1, 1), InlineData(5, 0)]
    public void Evicted_and_prefetched_bytes_of_a_file_stay_what_they_were(int offset, int length)
    {
        using var folder = new TemporaryFolder();
        var bytes = new byte[Bytes];
        new Random(1).NextBytes(bytes);
        File.WriteAllBytes(folder.In("a"), bytes);
        using var storage = new MappedStorage(folder.In("a"));
        var tensor = new Tensor(storage, offset, new Shape(length), DType.U8);

        var before = tensor.Span<byte>().ToArray();
        tensor.Evict();
        tensor.Prefetch();
        tensor.Evict();
        Assert.Equal(before, tensor.Span<byte>().ToArray());
        Assert.Equal(bytes, new Tensor(storage, 0, new Shape(Bytes), DType.U8).Span<byte>().ToArray());
    }

    [Fact]
    public void Evicted_pages_are_no_longer_memory_of_this_process()
    {
        if (!OperatingSystem.IsLinux())
            Assert.Skip("Pages are only evicted on Linux.");
        const int bytes = 64 << 20;
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.In("a"), new byte[bytes]);
        using var storage = new MappedStorage(folder.In("a"));
        var tensor = new Tensor(storage, 0, new Shape(bytes), DType.U8);

        var untouched = FilePages();
        Assert.Equal(-1, tensor.Span<byte>().IndexOfAnyExcept((byte)0));
        var touched = FilePages();
        tensor.Evict();
        var evicted = FilePages();
        Assert.True(touched - untouched > bytes / 2, $"touched: {touched - untouched} bytes of {bytes}");
        Assert.True(evicted - untouched < bytes / 2, $"evicted: {evicted - untouched} bytes of {bytes}");
    }

    [Fact]
    public void A_part_outside_the_file_is_refused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder.In("a"), new byte[100]);
        using var storage = new MappedStorage(folder.In("a"));
        Assert.Throws<ArgumentOutOfRangeException>(() => storage.Evict(1, 100));
        Assert.Throws<ArgumentOutOfRangeException>(() => storage.Evict(-1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => storage.Prefetch(0, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => storage.Prefetch(long.MaxValue, 2));
        storage.Dispose();
        Assert.Throws<ObjectDisposedException>(() => storage.Evict(0, 1));
    }

    [Fact]
    public void Memory_of_its_own_is_not_touched()
    {
        using var tensor = Tensor.From([1, 2, 3], 3);
        tensor.Prefetch();
        tensor.Evict();
        Assert.Equal([1, 2, 3], tensor.Span<float>().ToArray());
    }

    /// <summary>Bytes of mapped files in this process' resident set.</summary>
    static long FilePages() => 1024 * long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("RssFile:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2]);
}
