using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>One vector per patch: a convolution with the stride of its kernel is a matrix product.</summary>
sealed class PatchEmbedding(VisionTower tower, Weights weights) : IStage
{
    // [Dv, channels, temporal, patch, patch] in the file.
    readonly DenseWeight kernel = new(weights.Tensor("proj.weight", tower.Config.Width, tower.Config.Channels,
        tower.Config.TemporalPatch, tower.Config.PatchSize, tower.Config.PatchSize)
        .Reshape(tower.Config.Width, tower.Config.PatchValues));

    public static StageLoader Loader(VisionTower tower, string prefix) =>
        new(prefix, Scope.Vision, [], [], [], root => new PatchEmbedding(tower, root[prefix]));

    public IReadOnlyList<Step> Steps => [new([], Embed)];

    void Embed(Pass pass)
    {
        if (pass.Sample.Images.Count == 0)
            return;
        var layout = tower.Layout(pass);
        using var embedded = Tensor.Empty(layout.Pictures[^1], tower.Config.Width);
        for (var i = 0; i < pass.Sample.Images.Count; i++)
        {
            var (from, to) = (layout.Pictures[i], layout.Pictures[i + 1]);
            kernel.Multiply(pass.Sample.Images[i].Patches, embedded.Slice(from, to - from));
        }
        GC.KeepAlive(this);
        pass.Observe?.Invoke(Observed.VisionEmbed, embedded);
        pass.Hidden = layout.ToWindows(embedded, tower.Config.Merge * tower.Config.Merge);
    }
}
