using Nibble.Tensors.Host;

namespace Nibble.Tests.Tensors.Host;

public sealed class CpuTests
{
    [Fact]
    public void The_strongest_level_is_chosen_unless_one_is_named()
    {
        Assert.Equal(Cpu.Available[^1], Cpu.Choose(null));
        Assert.Equal(Cpu.Available[^1], Cpu.Choose(""));
        Assert.Equal(CpuLevel.Portable, Cpu.Choose("portable"));
        foreach (var level in Cpu.Available)
            Assert.Equal(level, Cpu.Choose(level.ToString().ToLowerInvariant()));
    }

    [Theory]
    [InlineData("amx")]
    [InlineData("0")]
    [InlineData("avx512,avx2")]
    public void What_is_no_level_is_refused(string name)
    {
        var message = Assert.Throws<PlatformNotSupportedException>(() => Cpu.Choose(name)).Message;
        Assert.StartsWith($"NIBBLE_CPU={name} is no level; this machine has portable", message);
    }

    [Fact]
    public void A_level_this_machine_lacks_is_refused()
    {
        foreach (var level in Enum.GetValues<CpuLevel>().Except(Cpu.Available))
            Assert.Throws<PlatformNotSupportedException>(() => Cpu.Choose(level.ToString().ToLowerInvariant()));
    }
}
