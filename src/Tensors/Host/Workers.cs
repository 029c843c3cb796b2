using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Nibble.Tensors.Host;

/// <summary>
/// Threads that wait for loops: they spin shortly, then sleep. A loop is a job that workers may join while it is open; the caller
/// works as well and at the end waits only for those who joined, so a worker that has not woken up delays nobody.
/// </summary>
sealed unsafe class Workers : IDisposable
{
    public const int MostThreads = 1024;
    const int Closed = int.MinValue;
    const int StackBytes = 1 << 20;

    // Long enough to bridge the gaps between the loops of one layer, short enough not to be seen in a processor monitor.
    static readonly long SpinTicks = Stopwatch.Frequency / 20_000;

    [ThreadStatic]
    static bool inside;

    readonly Thread[] threads;
    readonly object gate = new();
    int epoch;
    int parked;
    int taken;
    bool stopping;

    // The job. Written while closed; members counts who joined, plus Closed once no one else may.
    int members = Closed;
    delegate*<void*, int, int, void> body;
    void* state;
    int count;
    int grain;
    long chunks;
    long next;
    ExceptionDispatchInfo? failure;

    /// <param name="count">Threads in all, the caller included.</param>
    public Workers(int count)
    {
        Count = count;
        threads = new Thread[count - 1];
        for (var i = 0; i < threads.Length; i++)
        {
            threads[i] = new Thread(Serve, StackBytes) { IsBackground = true, Name = $"nibble {i + 1}" };
            threads[i].Start();
        }
    }

    public int Count { get; }

    /// <inheritdoc cref="Threads"/>
    public void For(int count, int grain, Action<int, int> body) => For(count, grain, new ActionBody(body));

    /// <inheritdoc cref="Threads"/>
    public void For<TBody>(int count, int grain, TBody body) where TBody : struct, IRangeBody
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(grain);
        if (Count == 1 || count <= grain || inside || Interlocked.Exchange(ref taken, 1) != 0)
        {
            for (var start = 0; start < count; start += Math.Min(grain, count - start))
                body.Run(start, start + Math.Min(grain, count - start));
            return;
        }

        // The workers reach this copy through its address. It lies in this frame, and this frame outlives the job.
        var shared = body;
        inside = true;
        Open(&Invoke<TBody>, Unsafe.AsPointer(ref shared), count, grain);
        Work();
        var thrown = Close();
        inside = false;
        Volatile.Write(ref taken, 0);
        thrown?.Throw();
    }

    public void Dispose()
    {
        Volatile.Write(ref stopping, true);
        Interlocked.Increment(ref epoch);
        lock (gate)
            Monitor.PulseAll(gate);
        foreach (var thread in threads)
            thread.Join();
    }

    readonly struct ActionBody(Action<int, int> action) : IRangeBody
    {
        public void Run(int start, int end) => action(start, end);
    }

    static void Invoke<TBody>(void* body, int start, int end) where TBody : struct, IRangeBody =>
        Unsafe.AsRef<TBody>(body).Run(start, end);

    void Open(delegate*<void*, int, int, void> body, void* state, int count, int grain)
    {
        this.body = body;
        this.state = state;
        this.count = count;
        this.grain = grain;
        chunks = ((long)count + grain - 1) / grain;
        next = 0;
        failure = null;
        Volatile.Write(ref members, 0);
        Interlocked.Increment(ref epoch);

        var wanted = (int)Math.Min(Volatile.Read(ref parked), chunks - 1);
        if (wanted > 0)
            lock (gate)
                while (wanted-- > 0)
                    Monitor.Pulse(gate);
    }

    ExceptionDispatchInfo? Close()
    {
        Interlocked.Add(ref members, Closed);
        var wait = new SpinWait();
        while (Volatile.Read(ref members) != Closed)
            wait.SpinOnce(sleep1Threshold: -1);
        return failure;
    }

    void Work()
    {
        try
        {
            for (long chunk; (chunk = Interlocked.Increment(ref next) - 1) < chunks;)
            {
                var start = (int)(chunk * grain);
                body(state, start, start + Math.Min(grain, count - start));
            }
        }
        catch (Exception exception)
        {
            Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(exception), null);
            Volatile.Write(ref next, chunks);
        }
    }

    void Serve()
    {
        inside = true;
        var seen = 0;
        while (true)
        {
            Await(seen);
            seen = Volatile.Read(ref epoch);
            if (Volatile.Read(ref stopping))
                return;
            if (!Join())
                continue;
            seen = Volatile.Read(ref epoch);
            Work();
            Interlocked.Decrement(ref members);
        }
    }

    bool Join()
    {
        for (var joined = Volatile.Read(ref members); joined >= 0;)
        {
            var before = Interlocked.CompareExchange(ref members, joined + 1, joined);
            if (before == joined)
                return true;
            joined = before;
        }
        return false;
    }

    /// <summary>Returns when the epoch is no longer <paramref name="seen"/>.</summary>
    void Await(int seen)
    {
        for (var start = Stopwatch.GetTimestamp(); Stopwatch.GetTimestamp() - start < SpinTicks;)
        {
            if (Volatile.Read(ref epoch) != seen)
                return;
            Thread.SpinWait(10);
        }

        lock (gate)
        {
            // The increment is a full fence: either Open sees this worker as parked or this worker sees the new epoch.
            Interlocked.Increment(ref parked);
            while (Volatile.Read(ref epoch) == seen)
                Monitor.Wait(gate);
            Interlocked.Decrement(ref parked);
        }
    }
}
