using System.Globalization;

namespace Nibble.Tensors.Host;

/// <summary>The body of a parallel loop. One copy is shared by all threads, so it must not change itself.</summary>
public interface IRangeBody
{
    /// <summary>Handles the indices [start, end).</summary>
    void Run(int start, int end);
}

/// <summary>
/// Parallel loops over the process's own threads: the caller and <see cref="Count"/> - 1 workers.
/// <para>The indices are cut into runs of exactly <c>grain</c> (the last may be shorter) whatever the number of threads, so a
/// body that only depends on its run gives the same result on every machine. A run should take 10 µs or more.</para>
/// <para>A loop inside a body runs on the thread it is called from; so does a loop started while another thread's loop holds the
/// workers. The first exception of a body stops the loop and is thrown to the caller once every thread has let go.</para>
/// </summary>
public static class Threads
{
    static readonly Lazy<Workers> Process = new(() => new Workers(Parse(Environment.GetEnvironmentVariable("NIBBLE_THREADS"))));

    /// <summary>Threads a loop may use: <c>NIBBLE_THREADS</c>, else the number of processors.</summary>
    /// <exception cref="ArgumentException"><c>NIBBLE_THREADS</c> is no number from 1 to 1024.</exception>
    public static int Count => Process.Value.Count;

    internal static Workers Shared => Process.Value;

    /// <summary>Runs the body over [0, count) in runs of <paramref name="grain"/> indices.</summary>
    public static void For(int count, int grain, Action<int, int> body) => Shared.For(count, grain, body);

    /// <summary>The same without allocating.</summary>
    public static void For<TBody>(int count, int grain, TBody body) where TBody : struct, IRangeBody =>
        Shared.For(count, grain, body);

    internal static int Parse(string? wanted)
    {
        if (string.IsNullOrEmpty(wanted))
            return Math.Min(Environment.ProcessorCount, Workers.MostThreads);
        return int.TryParse(wanted, NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            && count is >= 1 and <= Workers.MostThreads
            ? count
            : throw new ArgumentException($"NIBBLE_THREADS={wanted}: expected a number from 1 to {Workers.MostThreads}.");
    }
}
