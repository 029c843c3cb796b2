using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>
/// Hands everything to a sink in order, on a thread of its own, so that the disk works while the next module is quantized. What the
/// sink could not take is thrown at the next call. Releases the tensors of a module once it is written.
/// </summary>
sealed class WriteBehind : IDisposable
{
    /// <summary>Modules that may wait: one being written, one ready, one in the making.</summary>
    const int MostWaiting = 1;

    readonly IQuantizedSink sink;
    readonly BlockingCollection<Item> waiting = new(MostWaiting);
    readonly Thread thread;
    volatile ExceptionDispatchInfo? failure;

    public WriteBehind(IQuantizedSink sink)
    {
        this.sink = sink;
        thread = new Thread(Serve) { IsBackground = true, Name = "nibble writer" };
        thread.Start();
    }

    public void Write(QuantizedModule module) => Enqueue(new Item(() => sink.Write(module),
        [module.Weight.Codes, module.Weight.Scales, module.LowRank?.Down, module.LowRank?.Up]));

    public void Write(KeyValueScales scales) =>
        Enqueue(new Item(() => sink.Write(scales), [scales.KeyBias, scales.ValueBias]));

    public void Write(string tensor, Tensor value) => Enqueue(new Item(() => sink.Write(tensor, value), [value]));

    public void Finish(string stage, byte[] note) => Enqueue(new Item(() => sink.Finish(stage, note), []));

    /// <summary>Returns when everything is written, or throws what prevented it.</summary>
    public void Complete()
    {
        Dispose();
        failure?.Throw();
    }

    /// <summary>Waits as well, but keeps a failure to itself: for the way out after another one.</summary>
    public void Dispose()
    {
        waiting.CompleteAdding();
        thread.Join();
    }

    void Enqueue(Item item)
    {
        if (failure is not null)
        {
            item.Release();
            failure.Throw();
        }
        waiting.Add(item);
    }

    void Serve()
    {
        foreach (var item in waiting.GetConsumingEnumerable())
        {
            try
            {
                if (failure is null)
                    item.Write();
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
            item.Release();
        }
    }

    sealed record Item(Action Write, Tensor?[] Tensors)
    {
        public void Release()
        {
            foreach (var tensor in Tensors)
                tensor?.Dispose();
        }
    }
}
