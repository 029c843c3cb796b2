using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration;

/// <summary>Hidden states come back as they were put, from memory or from disk.</summary>
public sealed class ActivationStoreTests
{
    const int Count = 5, Rows = 3, Width = 8;
    const long Bytes = Rows * Width * sizeof(float);

    [Theory]
    [InlineData(0, 0, Count)]
    [InlineData(2 * Bytes, 2, 3)]
    [InlineData(1 << 20, Count, 0)]
    public void What_is_over_the_budget_waits_on_disk(long budget, int inMemory, int onDisk)
    {
        using var folder = new TemporaryFolder();
        using (var store = new ActivationStore(new Nothing(), new SampleList([.. Enumerable.Range(0, Count).Select(i => new Sample(i))]), budget, folder.In("spill")))
        {
            for (var i = 0; i < Count; i++)
            {
                var pass = store.Take(i);
                pass.Hidden = Draw.Tensor(i, Rows, Width);
                store.Return(i, pass);
            }
            Assert.Equal(inMemory * Bytes, store.ResidentBytes);
            Assert.Equal(onDisk * Bytes, store.SpilledBytes);
            Assert.Equal(onDisk, Directory.Exists(folder.In("spill")) ? Directory.GetFiles(folder.In("spill")).Length : 0);
            for (var round = 0; round < 2; round++)
                for (var i = 0; i < Count; i++)
                {
                    var pass = store.Take(i);
                    Assert.Equal(Draw.Tensor(i, Rows, Width).Span<float>().ToArray(), pass.Hidden.Span<float>().ToArray());
                    Assert.Equal(i, Assert.Single(pass.Sample.Ids));
                    store.Return(i, pass);
                }
            Assert.True(store.PeakBytes <= Math.Max(budget, 0) + Bytes);
        }
        Assert.False(Directory.Exists(folder.In("spill")));
    }

    [Fact]
    public void What_a_killed_run_left_is_not_taken_for_data()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.In("spill"));
        File.WriteAllText(folder.In("spill/000000.bin"), "left over and longer than what is to be written now, by far: " + new string('x', 500));
        using (var store = new ActivationStore(new Nothing(), new SampleList([new Sample(1)]), 0, folder.In("spill")))
        {
            var pass = store.Take(0);
            Assert.Null(pass.Hidden);
            pass.Hidden = Draw.Tensor(1, Rows, Width);
            pass.ImageFeatures = Draw.Tensor(2, 2, Width);
            store.Return(0, pass);
            Assert.Equal(Draw.Tensor(1, Rows, Width).Span<float>().ToArray(), store.Take(0).Hidden.Span<float>().ToArray());
            Assert.Equal(Draw.Tensor(2, 2, Width).Span<float>().ToArray(), pass.ImageFeatures!.Span<float>().ToArray());
        }
        Assert.Equal("000000.bin", Path.GetFileName(Assert.Single(Directory.GetFiles(folder.In("spill"))))); // not ours to remove
    }

    /// <summary>A network without stages.</summary>
    sealed class Nothing : INetwork
    {
        public string ModelType => "nothing";

        public int VocabularySize => Count;

        public IReadOnlyList<StageLoader> Stages => [];

        public IReadOnlyList<StageLoader> LanguageStages => [];

        public Pass Begin(Sample sample, KvCache? cache = null) => new(sample, cache);

        public KvCache NewCache(int capacity = 0) => new([]);

        public bool CanContinue(KvCache cache, int tokens) => true;
    }
}
