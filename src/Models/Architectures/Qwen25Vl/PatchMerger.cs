using Nibble.Models.Layers;
using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>The patches of a unit side by side, in two layers to the language model's width; in reading order.</summary>
sealed class PatchMerger(VisionTower tower, Weights weights) : IStage
{
    readonly int merged = tower.Config.UnitWidth;
    readonly RmsNorm norm = new(weights["ln_q"], tower.Config.Width, VisionTower.NormEpsilon);
    readonly Linear inner = weights["mlp"].Linear("0", tower.Config.UnitWidth, tower.Config.UnitWidth);
    readonly Linear outer = weights["mlp"].Linear("2", tower.Config.OutWidth, tower.Config.UnitWidth);

    public static StageLoader Loader(VisionTower tower, string prefix) =>
        new(prefix, Scope.Projector, [$"{prefix}.mlp.0", $"{prefix}.mlp.2"], [], [],
            root => new PatchMerger(tower, root[prefix]));

    public void Forward(Pass pass)
    {
        if (pass.Sample.Images.Count == 0)
            return;
        using var normed = norm.Forward(pass.Hidden);                               // [patches, Dv]
        using var hidden = inner.Forward(normed.Reshape(normed.Elements / merged, merged));
        Ops.Gelu.Apply(hidden, hidden);
        using var features = outer.Forward(hidden);                                 // [image tokens, D]
        pass.Observe?.Invoke(Observed.Projector, features);
        pass.ImageFeatures = tower.Layout(pass).ToReadingOrder(features);
        pass.Observe?.Invoke(Observed.ImageFeatures, pass.ImageFeatures);
    }
}
