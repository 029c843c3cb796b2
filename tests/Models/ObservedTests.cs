using Nibble.Models;

namespace Nibble.Tests.Models;

public class ObservedTests
{
    [Theory]
    [InlineData("embed", "embed", null)]
    [InlineData("inputs_embeds", "embed", null)]
    [InlineData("layers.12", "layers.12", null)]
    [InlineData("hidden_12", "layers.12", null)]
    [InlineData("layers.3.router_logits", "layers.3.router_logits", null)]
    [InlineData("layers.3.experts", "layers.3.experts", null)]
    [InlineData("layers.3.expert_weights", "layers.3.expert_weights", null)]
    [InlineData("norm", "norm", null)]
    [InlineData("logits", "logits", null)]
    [InlineData("last_logits", "logits", 1)]
    [InlineData("logits_last16", "logits", 16)]
    [InlineData("vision_patch_embed", "vision.embed", null)]
    [InlineData("vision_hidden_0", "vision.layers.0", null)]
    [InlineData("merger_out", "projector", null)]
    [InlineData("projector_out", "projector", null)]
    [InlineData("image_features", "image_features", null)]
    [InlineData("vision_output", "image_features", null)]
    public void Recorded_names_are_understood(string recorded, string name, int? rows) =>
        Assert.Equal(new RecordedTensor(name, rows), Observed.Find(recorded));

    [Theory]
    [InlineData("input_ids"), InlineData("hidden_"), InlineData("hidden_-1"), InlineData("hidden_1x"), InlineData("")]
    [InlineData("layers.99999999999"), InlineData("layers.0.router"), InlineData("layers..experts")]
    public void Other_names_are_not(string recorded) => Assert.Null(Observed.Find(recorded));
}
