using Nibble.Models.Layers;
using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>The patches of a unit side by side, in two layers to the language model's width; in reading order.</summary>
sealed class PatchMerger : IStage
{
    readonly VisionTower tower;
    readonly RmsNorm norm;
    readonly Linear inner, outer;

    PatchMerger(VisionTower tower, Weights weights)
    {
        this.tower = tower;
        var (config, mlp) = (tower.Config, weights["mlp"]);
        norm = new(weights["ln_q"], config.Width, VisionTower.NormEpsilon);
        inner = mlp.Linear("0", config.UnitWidth, config.UnitWidth);
        outer = mlp.Linear("2", config.OutWidth, config.UnitWidth);
        Steps =
        [
            new([], Unite, UniteBack),
            new([InputGroup.OfInput($"{mlp.Prefix}.0")], Widen, WidenBack),
            new([InputGroup.OfInput($"{mlp.Prefix}.2")], Project, ProjectBack),
        ];
    }

    public IReadOnlyList<Step> Steps { get; }

    public static StageLoader Loader(VisionTower tower, string prefix) =>
        new(prefix, Scope.Projector, [$"{prefix}.mlp.0", $"{prefix}.mlp.2"], [], [],
            root => new PatchMerger(tower, root[prefix]))
        {
            Residual = new ResidualUse { Writers = [$"{prefix}.mlp.2"] },
        };

    void Unite(Pass pass)
    {
        if (pass.Sample.Images.Count == 0)
            return;
        var normed = norm.Forward(pass.Hidden);                                     // [patches, Dv]
        pass.Input = normed.Reshape(normed.Elements / tower.Config.UnitWidth, tower.Config.UnitWidth);
    }

    void Widen(Pass pass)
    {
        if (pass.Input is not { } units)
            return;
        var hidden = inner.Forward(units);
        Ops.Gelu.Apply(hidden, hidden);
        pass.Input = hidden;
    }

    void Project(Pass pass)
    {
        if (pass.Input is not { } hidden)
            return;
        using var features = outer.Forward(hidden);                                 // [image tokens, D]
        pass.Observe?.Invoke(Observed.Projector, features);
        (pass.ImageFeatures, pass.Input) = (tower.Layout(pass).ToReadingOrder(features), null);
        pass.Observe?.Invoke(Observed.ImageFeatures, pass.ImageFeatures);
    }

    void ProjectBack(Pass pass, Gradient gradient)
    {
        if (pass.Input is not { } hidden || gradient.ImageFeatures is not { } dFeatures)
            return;
        using var dy = tower.Layout(pass).ToWindows(dFeatures, 1);
        (gradient.Input, gradient.ImageFeatures) = (outer.Back(hidden, dy, gradient), null);
    }

    void WidenBack(Pass pass, Gradient gradient)
    {
        if (gradient.Input is not { } dHidden)
            return;
        using var widened = inner.Forward(pass.Input!);
        Ops.GeluGradient.Apply(widened, dHidden, widened);
        gradient.Input = inner.Back(pass.Input!, widened, gradient);
    }

    void UniteBack(Pass pass, Gradient gradient)
    {
        if (gradient.Input is { } dUnits)
            (gradient.Hidden, gradient.Input) = (norm.Back(pass.Hidden, dUnits.Reshape(pass.Hidden.Shape.Dimensions)), null);
    }
}
