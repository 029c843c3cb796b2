using Nibble.Quant;
using Nibble.Quant.Planning;

namespace Nibble.Tests.Quant.Planning;

public sealed class GlobTests
{
    [Theory]
    [InlineData("*", "model.layers.0.mlp", true)]
    [InlineData("*", "", true)]
    [InlineData("model.layers.?.mlp", "model.layers.7.mlp", true)]
    [InlineData("model.layers.?.mlp", "model.layers.17.mlp", false)]
    [InlineData("*.layers.[0-2].*", "model.layers.1.mlp", true)]
    [InlineData("*.layers.[!0-2].*", "model.layers.1.mlp", false)]
    [InlineData("*.layers.[!0-2].*", "model.layers.3.mlp", true)]
    [InlineData("a.b", "axb", false)]
    [InlineData("a[b", "a[b", true)]
    [InlineData("a(b+", "a(b+", true)]
    [InlineData("Model", "model", false)]
    [InlineData("mlp", "model.mlp", false)]
    [InlineData("mlp", "mlp.up", false)]
    [InlineData("re:model\\.layers\\.(0|2)\\.", "model.layers.2.mlp", true)]
    [InlineData("re:layers", "model.layers", false)]
    public void Matches(string pattern, string name, bool expected) => Assert.Equal(expected, new Glob(pattern).Matches(name));

    [Fact]
    public void A_broken_expression_is_named() =>
        Assert.Contains("re:(", Assert.Throws<QuantizationException>(() => new Glob("re:(")).Message, StringComparison.Ordinal);
}
