using System.Diagnostics;

namespace Nibble.Quant;

/// <summary>What the operating system says of this process.</summary>
public static class ProcessMemory
{
    /// <summary>The largest resident set so far, in bytes.</summary>
    public static long PeakBytes
    {
        get
        {
            using var process = Process.GetCurrentProcess();
            return process.PeakWorkingSet64;
        }
    }
}
