using Nibble.Export;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Planning;

/// <summary>What a run is said to need before it starts.</summary>
public sealed class ForecastTests
{
    /// <summary>A machine on which everything fits.</summary>
    static readonly RunLimits Plenty = new(long.MaxValue, long.MaxValue, ActivationBudget: 1 << 30, Tokens: 1000);

    [Fact]
    public void Memory_is_that_of_a_stage_its_activations_and_the_algorithm()
    {
        var weightOnly = Of("int8_wo", Plenty).PeakBytes;
        Assert.Equal(weightOnly, Of("int8_wo", Plenty with { Tokens = 0 }).PeakBytes);
        long needed = Of("int8", Plenty).PeakBytes, widest = WidestInput();
        Assert.Equal(Plenty.Tokens * widest * sizeof(float), needed - weightOnly);
        Assert.Equal(20_000, Of("int8", Plenty with { ActivationBudget = 20_000 }).PeakBytes - weightOnly); // the rest waits on disk
        Assert.True(Of("int4", Plenty, Algorithm.Awq).PeakBytes > Of("int4", Plenty).PeakBytes);
        Assert.True(Of("int4", Plenty, Algorithm.Best).PeakBytes > Of("int4", Plenty, Algorithm.Gptq).PeakBytes);
    }

    [Fact]
    public void What_does_not_fit_is_said_with_both_numbers()
    {
        Assert.True(Of("fp8", Plenty).Fits);
        var peak = Of("fp8", Plenty).PeakBytes;
        Assert.True(Of("fp8", Plenty with { MemoryBytes = peak }).Fits);
        var memory = Assert.Single(Of("fp8", Plenty with { MemoryBytes = peak - 1 }).Obstacles);
        Assert.Contains($"{peak:N0} bytes of memory are needed and {peak - 1:N0} are there", memory, StringComparison.Ordinal);
        var written = Plan("fp8", Algorithm.Max).Plan.BytesAfter;
        Assert.True(Of("fp8", Plenty with { FreeDiskBytes = written }).Fits);
        Assert.True(Of("fp8", Plenty with { FreeDiskBytes = null }).Fits);
        var disk = Assert.Single(Of("fp8", Plenty with { FreeDiskBytes = written - 1 }).Obstacles);
        Assert.Contains($"{written:N0} bytes will be written and {written - 1:N0} are free", disk, StringComparison.Ordinal);
    }

    /// <summary>So many tokens that the measured speed of this machine does not matter.</summary>
    [Fact]
    public void More_tokens_take_longer_where_there_is_a_forward_pass()
    {
        var many = Plenty with { Tokens = 1L << 40 };
        Assert.True(Of("fp8", many).Seconds > 100 * Of("fp8", Plenty).Seconds);
        Assert.True(Of("int8_wo", many).Seconds < 100 * Of("int8_wo", Plenty).Seconds);
    }

    static long WidestInput() => Plan("int8", Algorithm.Max).Plan.Modules.Max(module => module.Columns);

    static Forecast Of(string format, RunLimits limits, Algorithm algorithm = Algorithm.Max)
    {
        var (plan, network) = Plan(format, algorithm);
        return Forecast.Of(plan, network, limits);
    }

    static (Plan Plan, INetwork Network) Plan(string format, Algorithm algorithm)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/llama"));
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        return (Nibble.Quant.Planning.Plan.Create(network, source, Recipe.Uniform(Schemes.Find(format), [Scope.Language], [], algorithm)), network);
    }
}
