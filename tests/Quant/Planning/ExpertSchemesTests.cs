using Nibble.Export;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Planning;

public sealed class ExpertSchemesTests
{
    [Theory]
    [InlineData("model.layers.0.mlp.experts.2.down_proj", true)]
    [InlineData("model.layers.0.mlp.experts.*.down_proj", false)]
    [InlineData("model.layers.0.self_attn.o_proj", false)]
    public void The_experts_of_a_layer_need_one_scheme(string excluded, bool refused)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/moe"));
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        var plan = Plan.Create(network, source, Recipe.Uniform(Schemes.Find("fp8"), [Scope.Language], [excluded]));
        if (refused)
            Assert.Contains("experts of a layer", Assert.Single(plan.Problems), StringComparison.Ordinal);
        else
            Assert.Empty(plan.Problems);
    }
}
