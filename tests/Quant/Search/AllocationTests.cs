using Nibble.Models;
using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Search;
using Nibble.Tests.Models;

namespace Nibble.Tests.Quant.Search;

/// <summary>Spaces of a vision-language network, their costs, and choices as recipes.</summary>
public sealed class AllocationTests : IDisposable
{
    readonly Golden golden = Golden.Model("qwen2_5_vl");

    public void Dispose() => golden.Dispose();

    [Theory]
    [InlineData("nvfp4", 4.5)]
    [InlineData("fp8", 8)]
    [InlineData("int8_wo", 8)]
    [InlineData("mxfp8", 8.25)]
    [InlineData("mxfp4", 4.25)]
    [InlineData("w4a8_nvfp4_fp8", 4.25)]
    public void Bits_are_those_of_codes_and_block_scales(string scheme, double bits)
    {
        var group = Space([scheme], Scope.Language).Groups.First(group => group.Schemes.Count > 0);
        Assert.Equal(bits, (double)group.Bits(Schemes.Find(scheme)) / group.Elements);
        Assert.Equal(16, (double)group.Bits(null) / group.Elements);
    }

    [Fact]
    public void Groups_are_what_runtimes_fuse_and_the_head_and_excluded_ones_are_fixed()
    {
        var space = Space(["fp8"], [Scope.Language, Scope.Projector], "*.o_proj", "model.layers.1.mlp.up_proj");
        var groups = space.Groups.ToDictionary(group => group.Name);
        Assert.Equal(["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.v_proj"],
            groups["model.layers.0.self_attn.q_proj"].Modules.Select(module => module.Name));
        Assert.Single(groups["model.layers.0.self_attn.q_proj"].Schemes);
        Assert.Empty(groups["model.layers.0.self_attn.o_proj"].Schemes);
        Assert.Empty(groups["model.layers.1.mlp.gate_proj"].Schemes); // one of the two is excluded
        Assert.Empty(groups["lm_head"].Schemes);
        Assert.DoesNotContain(groups.Values, group => group.Scope == Scope.Vision);
        Assert.Equal(2, groups.Values.Count(group => group.Scope == Scope.Projector));
        Assert.Throws<QuantizationException>(() => Space(["fp8"], [Scope.Language], "nothing.*"));
        Assert.Throws<QuantizationException>(() => Space(["fp8"], [Scope.Language], "*"));
    }

    [Fact]
    public void A_format_that_does_not_fit_a_shape_is_no_candidate_there()
    {
        var space = Space(["int4", "fp8"], Enum.GetValues<Scope>());
        foreach (var group in space.Groups.Where(group => group.Schemes.Count > 0))
            Assert.Equal(group.Modules.All(module => module.Columns % 128 == 0), group.Schemes.Any(scheme => scheme.Name == "int4"));
        Assert.Contains(space.Groups, group => group.Schemes.Count == 1);
    }

    [Fact]
    public void A_recipe_gives_every_module_the_chosen_scheme()
    {
        var space = Space(["nvfp4", "fp8"], [Scope.Language, Scope.Vision]);
        var random = new Random(1);
        foreach (var bits in (double[])[7, 9, 12, 16])
        {
            var allocation = new Allocation(space, [.. space.Groups.Select(group => new GroupScores(group.Name, "",
                [.. group.Modules.Select(module => module.Name)], group.Schemes.ToDictionary(scheme => scheme.Name, _ => random.NextDouble())))],
                SizeLimit.OfBits(bits));
            Assert.Null(allocation.Obstacle());
            var selection = allocation.Solve();
            Assert.True(allocation.EffectiveBits(selection) <= bits);
            var plan = Plan.Create(golden.Network, golden.Source, allocation.Recipe(selection));
            if (bits < 16)
                Assert.Empty(plan.Problems);
            foreach (var (group, scheme) in allocation.Schemes(selection))
                Assert.All(group.Modules, module => Assert.Equal(scheme, plan.Find(module.Name).Scheme));
            Assert.All(plan.Modules.Where(module => module.Scope == Scope.Projector), module => Assert.Null(module.Scheme));
            Assert.InRange(allocation.Bytes(selection), plan.BytesAfter, long.MaxValue);
        }
    }

    [Fact]
    public void What_stands_in_the_way_is_said_in_the_unit_that_was_asked_for()
    {
        var space = Space(["fp8"], [Scope.Language, Scope.Vision]);
        List<GroupScores> scores = [.. space.Groups.Select(group => new GroupScores(group.Name, "", [.. group.Modules.Select(module => module.Name)],
            group.Schemes.ToDictionary(scheme => scheme.Name, _ => 1.0)))];
        Assert.Contains("7.5 bits per weight are allowed", new Allocation(space, scores, SizeLimit.OfBits(7.5)).Obstacle(), StringComparison.Ordinal);
        Assert.Contains("1,000 bytes are allowed", new Allocation(space, scores, SizeLimit.OfBytes(1000)).Obstacle(), StringComparison.Ordinal);
        Assert.Contains("vision needs at least 8 bits", new Allocation(space, scores,
            new SizeLimit(16, null, new Dictionary<Scope, double> { [Scope.Vision] = 7 })).Obstacle(), StringComparison.Ordinal);
    }

    SearchSpace Space(string[] schemes, Scope scope) => Space(schemes, [scope]);

    SearchSpace Space(string[] schemes, Scope[] scopes, params string[] exclude) =>
        SearchSpace.Create(golden.Network, golden.Source, [.. schemes.Select(name => Schemes.Find(name)!)], scopes, exclude);
}
