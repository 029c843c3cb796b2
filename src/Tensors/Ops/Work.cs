using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>Runs independent pieces of work, on several threads where that pays. The result never depends on how many.</summary>
static class Work
{
    /// <summary>Below this many nanoseconds, waking other threads costs more than it saves.</summary>
    const double Worthwhile = 100_000;

    /// <summary>Nanoseconds of work that a thread takes at once.</summary>
    const double Run = 20_000;

    /// <summary>Elements of one piece of an elementwise op: 256 KiB of F32.</summary>
    const int Piece = 1 << 16;

    /// <summary>Calls <paramref name="body"/> with 0 .. count-1; each call takes about this many nanoseconds.</summary>
    public static void For(int count, double nanoseconds, Action<int> body)
    {
        var grain = count * nanoseconds < Worthwhile ? Math.Max(1, count) : (int)Math.Clamp(Run / nanoseconds, 1, count);
        Threads.For(count, grain, (start, end) =>
        {
            for (var i = start; i < end; i++)
                body(i);
        });

        // Spans over a tensor do not keep it alive; the delegate does, with every tensor it captured.
        GC.KeepAlive(body);
    }

    /// <summary>Cuts 0 .. elements into pieces and calls <paramref name="body"/> with start and length of each.</summary>
    public static void Pieces(long elements, double nanosecondsEach, Action<long, int> body)
    {
        var pieces = checked((int)((elements + Piece - 1) / Piece));
        For(pieces, Math.Min(elements, Piece) * nanosecondsEach, piece =>
        {
            var start = (long)piece * Piece;
            body(start, (int)Math.Min(Piece, elements - start));
        });
    }
}
