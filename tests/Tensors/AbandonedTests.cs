using System.Runtime.CompilerServices;
using Nibble.Tensors;

namespace Nibble.Tests.Tensors;

public sealed class AbandonedTests
{
    const int Length = 1000;

    [Fact]
    public void A_span_outlives_a_collection_that_takes_its_tensor()
    {
        var span = Orphan();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using var others = new Tensors(50); // would take the memory over
        foreach (var value in span)
            Assert.Equal(1.5f, value);
    }

    [Fact]
    public void What_nobody_refers_to_is_released_in_the_end()
    {
        var storage = Dropped();
        for (var waited = 0; IsThere(storage) && waited < 200; waited++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Sleep(50);
        }
        Assert.False(IsThere(storage));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static Span<float> Orphan()
    {
        var tensor = Tensor.Empty(Length);
        tensor.Span<float>().Fill(1.5f);
        return tensor.Span<float>();
    }

    /// <summary>Apart, so that no frame of the test holds the storage.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool IsThere(WeakReference<Storage> storage) => storage.TryGetTarget(out _);

    /// <summary>A long reference, which sees the storage until it is really gone.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    static WeakReference<Storage> Dropped() => new(Tensor.Empty(Length).Storage, trackResurrection: true);

    sealed class Tensors : IDisposable
    {
        readonly List<Tensor> tensors = [];

        public Tensors(int count)
        {
            for (var i = 0; i < count; i++)
            {
                tensors.Add(Tensor.Empty(Length));
                tensors[^1].Span<float>().Fill(float.NaN);
            }
        }

        public void Dispose() => tensors.ForEach(tensor => tensor.Dispose());
    }
}
