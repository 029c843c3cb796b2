namespace Nibble.Tensors.Host;

/// <summary>What an op runs on. Tests and benchmarks choose; everyone else takes <see cref="Default"/>.</summary>
readonly record struct HostTarget(CpuLevel Level, Workers Workers)
{
    public static HostTarget Default => new(Cpu.Level, Threads.Shared);
}
