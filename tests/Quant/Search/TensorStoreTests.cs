using Nibble.Quant.Search;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Search;

public class TensorStoreTests
{
    [Fact]
    public void Tensors_come_back_from_memory_and_from_disk_and_nothing_stays()
    {
        using var folder = new TemporaryFolder();
        var first = Draw.Tensor(1, 3, 5);
        using (var store = new TensorStore(first.Bytes, folder.In("spill")))
        {
            var second = Draw.Tensor(2, 7, 11);
            var expected = second.Span<float>().ToArray();
            store.Put((0, 1), first);
            store.Put((-2, 1), second);
            Assert.Equal(7 * 11 * 4, store.SpilledBytes);
            Assert.Single(Directory.GetFiles(folder.In("spill")));

            Assert.Null(store.Take((1, 1)));
            Assert.Same(first, store.Take((0, 1)));
            var back = store.Take((-2, 1))!;
            Assert.Equal("[7, 11] F32", back.ToString());
            Assert.Equal(expected, back.Span<float>().ToArray());
            Assert.Null(store.Take((-2, 1)));
            Assert.Empty(Directory.GetFiles(folder.In("spill")));

            store.Put((0, 1), first); // the room is free again
            store.Put((5, 0), back);
            Assert.Equal(2 * 7 * 11 * 4, store.SpilledBytes);
            Assert.Throws<ArgumentException>(() => store.Put((0, 1), Draw.Tensor(3, 0, 5)));
        }
        Assert.False(Directory.Exists(folder.In("spill")));
    }

    [Fact]
    public void Other_files_of_the_folder_are_left_alone()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.In("spill"));
        File.WriteAllText(Path.Combine(folder.In("spill"), "mine"), "");
        using (var store = new TensorStore(0, folder.In("spill")))
            store.Put((0, 0), Draw.Tensor(1, 2, 2));
        Assert.Equal(["mine"], Directory.GetFiles(folder.In("spill")).Select(Path.GetFileName));
    }
}
