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
            With([], pass => pass.Input = attentionNorm.Forward(pass.Hidden)),
            With([$"{weights["attn"].Prefix}.qkv"], pass => pass.Input = Mix(pass.Input!, tower.Layout(pass))),
            With([$"{weights["attn"].Prefix}.proj"], AddAttention),
            With(inMlp[..2], pass => pass.Input = mlp.Gate(pass.Input!)),
            With(inMlp[2..], AddMlp),
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
    static Step With(IReadOnlyList<string> modules, Action<Pass> run) =>
        new(modules.Count == 0 ? [] : [InputGroup.OfInput(modules)], pass =>
        {
            if (pass.Sample.Images.Count > 0)
                run(pass);
        });

    void AddAttention(Pass pass)
    {
        var x = projection.Forward(pass.Input!);                    // [patches, Dv]
        Ops.Elementwise.Add(pass.Hidden, x, x);
        (pass.Hidden, pass.Input) = (x, mlpNorm.Forward(x));
    }

    void AddMlp(Pass pass)
    {
        var y = mlp.Down(pass.Input!);
        Ops.Elementwise.Add(pass.Hidden, y, y);
        (pass.Hidden, pass.Input) = (y, null);
        pass.Observe?.Invoke(Observed.VisionLayer(layer), y);
    }

    Tensor Mix(Tensor x, VisionLayout layout)
    {
        using var fused = qkv.Forward(x);                           // rows of q, then k, then v: [patches, 3·Dv]
        using var queries = Part(fused, 0);                         // [patches, H, d]
        using var keys = Part(fused, 1);
        using var values = Part(fused, 2);
        layout.Angles.Rotate(queries);
        layout.Angles.Rotate(keys);

        var mixed = Tensor.Empty(queries.Shape);
        var mask = overPictures ? layout.WithinPictures : layout.WithinWindows;
        Ops.Attention.Apply(queries, keys, values, mixed, mask, 1 / MathF.Sqrt(width / heads));
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
