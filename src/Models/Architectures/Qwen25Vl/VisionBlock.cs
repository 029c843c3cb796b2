using Nibble.Models.Layers;
using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>x ← x + attention(norm(x)); x ← x + mlp(norm(x)), attending within windows or within pictures.</summary>
sealed class VisionBlock : IStage
{
    readonly VisionTower tower;
    readonly int layer, width, heads;
    readonly bool overPictures;
    readonly RmsNorm attentionNorm, mlpNorm;
    readonly Linear qkv, projection;
    readonly GatedMlp mlp;

    VisionBlock(VisionTower tower, int layer, Weights weights)
    {
        (this.tower, this.layer) = (tower, layer);
        (width, heads, overPictures) = (tower.Config.Width, tower.Config.Heads, tower.Config.FullAttention.Contains(layer));
        attentionNorm = new(weights["norm1"], width, VisionTower.NormEpsilon);
        qkv = weights["attn"].Linear("qkv", 3 * width, width);
        projection = weights["attn"].Linear("proj", width, width);
        mlpNorm = new(weights["norm2"], width, VisionTower.NormEpsilon);
        mlp = new(weights["mlp"], width, tower.Config.MlpWidth);

        var inMlp = GatedMlp.Modules(weights["mlp"].Prefix);
        Steps =
        [
            With([], pass => pass.Input = attentionNorm.Forward(pass.Hidden), NormBack),
            With([$"{weights["attn"].Prefix}.qkv"], pass => pass.Input = Mix(pass.Input!, tower.Layout(pass)), MixBack),
            With([$"{weights["attn"].Prefix}.proj"], AddAttention, AddAttentionBack),
            With(inMlp[..2], pass => pass.Input = mlp.Gate(pass.Input!),
                (pass, gradient) => gradient.Input = mlp.GateBack(pass.Input!, gradient.Input!, gradient)),
            With(inMlp[2..], AddMlp, (pass, gradient) => gradient.Input = mlp.DownBack(pass.Input!, gradient.Hidden!, gradient)),
        ];
    }

    public IReadOnlyList<Step> Steps { get; }

    public static StageLoader Loader(VisionTower tower, int layer, string prefix)
    {
        var mlp = GatedMlp.Modules($"{prefix}.mlp");
        return new StageLoader(prefix, Scope.Vision, [$"{prefix}.attn.qkv", $"{prefix}.attn.proj", .. mlp], [mlp[..2]], [],
            root => new VisionBlock(tower, layer, root[prefix]))
        {
            Sources =
            [
                new([$"{prefix}.attn.qkv"], NormWeight: $"{prefix}.norm1.weight"),
                new(mlp[..2], NormWeight: $"{prefix}.norm2.weight"),
                new(mlp[2..], Producer: mlp[1]),
            ],
        };
    }

    /// <summary>A step that passes by samples without pictures.</summary>
    static Step With(IReadOnlyList<string> modules, Action<Pass> run, Action<Pass, Gradient> back) =>
        new(modules.Count == 0 ? [] : [InputGroup.OfInput(modules)],
            pass =>
            {
                if (pass.Sample.Images.Count > 0)
                    run(pass);
            },
            (pass, gradient) =>
            {
                if (pass.Sample.Images.Count > 0)
                    back(pass, gradient);
            });

    void AddAttention(Pass pass)
    {
        var x = projection.Forward(pass.Input!);                    // [patches, Dv]
        Ops.Elementwise.Add(pass.Hidden, x, x);
        (pass.Hidden, pass.Input) = (x, mlpNorm.Forward(x));
    }

    void NormBack(Pass pass, Gradient gradient)
    {
        using var dx = attentionNorm.Back(pass.Hidden, gradient.Input!);
        Ops.Elementwise.AddInPlace(gradient.Hidden!, dx);
        gradient.Input = null;
    }

    void AddAttentionBack(Pass pass, Gradient gradient)
    {
        using var x = projection.Forward(pass.Input!);
        Ops.Elementwise.Add(pass.Hidden, x, x);
        using var dx = mlpNorm.Back(x, gradient.Input!);
        Ops.Elementwise.AddInPlace(gradient.Hidden!, dx);
        gradient.Input = projection.Back(pass.Input!, gradient.Hidden!, gradient);
    }

    void AddMlp(Pass pass)
    {
        var y = mlp.Down(pass.Input!);
        Ops.Elementwise.Add(pass.Hidden, y, y);
        (pass.Hidden, pass.Input) = (y, null);
        pass.Observe?.Invoke(Observed.VisionLayer(layer), y);
    }

    void MixBack(Pass pass, Gradient gradient)
    {
        var (x, layout) = (pass.Input!, tower.Layout(pass));
        using var fused = qkv.Forward(x);
        using Tensor queries = Part(fused, 0), keys = Part(fused, 1), values = Part(fused, 2);
        layout.Angles.Rotate(queries);
        layout.Angles.Rotate(keys);

        using Tensor dQueries = Tensor.Empty(queries.Shape), dKeys = Tensor.Empty(keys.Shape), dValues = Tensor.Empty(values.Shape);
        Ops.AttentionGradient.Apply(queries, keys, values, gradient.Input!.Reshape(queries.Shape.Dimensions), Mask(layout),
            1 / MathF.Sqrt(width / heads), dQueries, dKeys, dValues);
        layout.Angles.RotateBack(dQueries);
        layout.Angles.RotateBack(dKeys);
        for (var row = 0; row < fused.Rows; row++)
            foreach (var (index, part) in ((Tensor[])[dQueries, dKeys, dValues]).Index())
                part.Slice(row, 1).Span<float>().CopyTo(fused.Row(row).Slice(index * width, width));
        gradient.Input = qkv.Back(x, fused, gradient);
    }

    Ops.AttentionMask Mask(VisionLayout layout) => overPictures ? layout.WithinPictures : layout.WithinWindows;

    Tensor Mix(Tensor x, VisionLayout layout)
    {
        using var fused = qkv.Forward(x);                           // rows of q, then k, then v: [patches, 3·Dv]
        using var queries = Part(fused, 0);                         // [patches, H, d]
        using var keys = Part(fused, 1);
        using var values = Part(fused, 2);
        layout.Angles.Rotate(queries);
        layout.Angles.Rotate(keys);

        var mixed = Tensor.Empty(queries.Shape);
        Ops.Attention.Apply(queries, keys, values, mixed, Mask(layout), 1 / MathF.Sqrt(width / heads));
        return mixed.Reshape(x.Rows, width);
    }

    Tensor Part(Tensor fused, int index)
    {
        var part = Tensor.Empty(fused.Rows, heads, width / heads);
        for (var row = 0; row < fused.Rows; row++)
            fused.Row(row).Slice(index * width, width).CopyTo(part.Slice(row, 1).Span<float>());
        return part;
    }
}
