using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>
/// Brings the weights of the next stage into the system's file cache while a stage is worked on. They do not count as this process'
/// memory before they are touched.
/// </summary>
sealed class ReadAhead(IReadOnlyList<StageLoader> stages, ITensorSource source) : IDisposable
{
    Task running = Task.CompletedTask;

    /// <summary>Says that the stage of this index begins.</summary>
    public void Begin(int index)
    {
        running.GetAwaiter().GetResult();
        if (index + 1 < stages.Count)
            running = Task.Run(() => Fetch(stages[index + 1]));
    }

    /// <summary>Waits, since the files may be closed afterwards; a failure here would hide the one that led here.</summary>
    public void Dispose() => Task.WhenAny(running).Wait();

    void Fetch(StageLoader stage)
    {
        foreach (var module in stage.Modules)
            if (source.Find(module + ".weight") is { } weight)
                source.Prefetch(weight.Name);
    }
}
