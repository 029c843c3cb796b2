using System.Numerics;
using System.Runtime.InteropServices;

namespace Nibble.Tensors;

/// <summary>
/// Freed native blocks kept for the next request of their size. Activations come and go with every layer, and the system takes
/// ten times as long to hand out fresh pages for a large block as it takes to write to it.
/// </summary>
/// <param name="mostBytes">Bytes that may be kept. Past it everything kept is given back to the system.</param>
sealed unsafe class BlockPool(long mostBytes)
{
    /// <summary>The process's pool.</summary>
    public static BlockPool Shared { get; } = new(256L << 20);

    // Smaller blocks are the C library's business, and it is good at them.
    const long SmallestKept = 1 << 20;

    readonly Dictionary<long, Stack<nint>> kept = [];
    readonly Lock gate = new();

    /// <summary>Bytes kept at the moment.</summary>
    public long KeptBytes { get; private set; }

    public byte* Take(long bytes)
    {
        var size = SizeOf(bytes);
        if (size >= SmallestKept)
            lock (gate)
                if (kept.TryGetValue(size, out var blocks) && blocks.TryPop(out var block))
                {
                    KeptBytes -= size;
                    return (byte*)block;
                }
        return (byte*)NativeMemory.AlignedAlloc((nuint)size, NativeStorage.Alignment);
    }

    /// <param name="bytes">What <see cref="Take"/> was asked for.</param>
    public void Return(byte* block, long bytes)
    {
        var size = SizeOf(bytes);
        if (size < SmallestKept || size > mostBytes)
        {
            NativeMemory.AlignedFree(block);
            return;
        }
        lock (gate)
        {
            if (KeptBytes + size > mostBytes)
                Clear();
            if (!kept.TryGetValue(size, out var blocks))
                kept[size] = blocks = [];
            blocks.Push((nint)block);
            KeptBytes += size;
        }
    }

    /// <summary>Gives everything kept back to the system.</summary>
    public void Clear()
    {
        lock (gate)
        {
            foreach (var blocks in kept.Values)
                foreach (var block in blocks)
                    NativeMemory.AlignedFree((void*)block);
            kept.Clear();
            KeptBytes = 0;
        }
    }

    /// <summary>Large sizes are rounded up by an eighth at most, so that similar tensors can follow each other.</summary>
    static long SizeOf(long bytes)
    {
        if (bytes < SmallestKept)
            return Math.Max(bytes, 1);
        var step = 1L << (BitOperations.Log2((ulong)bytes) - 3);
        return checked(bytes + step - 1) & -step;
    }
}
