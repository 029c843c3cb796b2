using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Nibble.Tensors.Host;

/// <summary>The instruction sets the host code is written for, weakest first.</summary>
public enum CpuLevel
{
    /// <summary>128-bit vectors as the runtime provides them, in software where there are none. Runs everywhere.</summary>
    Portable,

    /// <summary>256-bit vectors with fused multiply-add.</summary>
    Avx2,

    /// <summary>512-bit vectors (AVX-512 F, BW, DQ and VL).</summary>
    Avx512,
}

/// <summary>
/// Which instruction set this process uses. Chosen once: the strongest present, or the one <c>NIBBLE_CPU</c> names.
/// </summary>
public static class Cpu
{
    static readonly Lazy<CpuLevel> Chosen = new(() => Choose(Environment.GetEnvironmentVariable("NIBBLE_CPU")));

    /// <exception cref="PlatformNotSupportedException"><c>NIBBLE_CPU</c> names no level, or one this machine lacks.</exception>
    public static CpuLevel Level => Chosen.Value;

    /// <summary>The levels of this machine, weakest first.</summary>
    public static IReadOnlyList<CpuLevel> Available { get; } = [.. Enum.GetValues<CpuLevel>().Where(Supports)];

    static bool Supports(CpuLevel level) => level switch
    {
        // Vector512 may be reported as not accelerated on parts that throttle; the kernels need the instructions, not the advice.
        CpuLevel.Avx512 => Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512F.VL.IsSupported,
        CpuLevel.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        _ => true,
    };

    /// <param name="wanted">avx512, avx2 or portable; empty for the strongest present.</param>
    internal static CpuLevel Choose(string? wanted)
    {
        if (string.IsNullOrEmpty(wanted))
            return Available[^1];
        var names = string.Join(", ", Available.Select(Name));
        foreach (var level in Enum.GetValues<CpuLevel>())
            if (wanted == Name(level))
                return Supports(level)
                    ? level
                    : throw new PlatformNotSupportedException($"NIBBLE_CPU={wanted}: this machine has {names}.");
        throw new PlatformNotSupportedException($"NIBBLE_CPU={wanted} is no level; this machine has {names}.");
    }

    static string Name(CpuLevel level) => level.ToString().ToLowerInvariant();
}
