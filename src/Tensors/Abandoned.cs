namespace Nibble.Tensors;

/// <summary>
/// Storages that were dropped without Dispose. They are released a while after the garbage collector found them, longer than anyone
/// works on a span whose tensor is out of sight.
/// </summary>
static class Abandoned
{
    /// <summary>Longer than one operation on one tensor takes.</summary>
    static readonly TimeSpan Kept = TimeSpan.FromSeconds(2);

    static readonly Queue<(Storage Storage, long Found)> waiting = [];
    static readonly Lock gate = new();
    static readonly Timer timer = new(_ => Leave());

    /// <summary>Called by finalizers.</summary>
    public static void Enter(Storage storage)
    {
        lock (gate)
        {
            waiting.Enqueue((storage, Environment.TickCount64));
            if (waiting.Count == 1)
                timer.Change(Kept, Timeout.InfiniteTimeSpan);
        }
    }

    static void Leave()
    {
        lock (gate)
        {
            while (waiting.TryPeek(out var oldest) && Environment.TickCount64 - oldest.Found >= (long)Kept.TotalMilliseconds)
                waiting.Dequeue().Storage.Release();
            if (waiting.Count > 0)
                timer.Change(Kept, Timeout.InfiniteTimeSpan);
        }
    }
}
