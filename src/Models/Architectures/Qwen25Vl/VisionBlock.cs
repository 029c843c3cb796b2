using Nibble.Models.Layers;
using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Architectures.Qwen25Vl;

/// <summary>x ← x + attention(norm(x)); x ← x + mlp(norm(x)), attending within windows or within pictures.</summary>
sealed class VisionBlock(VisionTower tower, int layer, Weights weights) : IStage
{
    readonly int width = tower.Config.Width, heads = tower.Config.Heads;
    readonly bool overPictures = tower.Config.FullAttention.Contains(layer);
    readonly RmsNorm attentionNorm = new(weights["norm1"], tower.Config.Width, VisionTower.NormEpsilon);
    readonly Linear qkv = weights["attn"].Linear("qkv", 3 * tower.Config.Width, tower.Config.Width);
    readonly Linear projection = weights["attn"].Linear("proj", tower.Config.Width, tower.Config.Width);
    readonly RmsNorm mlpNorm = new(weights["norm2"], tower.Config.Width, VisionTower.NormEpsilon);
    readonly GatedMlp mlp = new(weights["mlp"], tower.Config.Width, tower.Config.MlpWidth);

    public static StageLoader Loader(VisionTower tower, int layer, string prefix)
    {
        var mlp = GatedMlp.Modules($"{prefix}.mlp");
        return new StageLoader(prefix, Scope.Vision, [$"{prefix}.attn.qkv", $"{prefix}.attn.proj", .. mlp], [mlp[..2]], [],
            root => new VisionBlock(tower, layer, root[prefix]));
    }

    public void Forward(Pass pass)
    {
        if (pass.Sample.Images.Count == 0)
            return;
        using var normed = attentionNorm.Forward(pass.Hidden);      // [patches, Dv]
        using var x = Attend(normed, tower.Layout(pass));
        Ops.Elementwise.Add(pass.Hidden, x, x);

        using var normedAgain = mlpNorm.Forward(x);
        var y = mlp.Forward(normedAgain);
        Ops.Elementwise.Add(x, y, y);
        pass.Hidden = y;
        pass.Observe?.Invoke(Observed.VisionLayer(layer), y);
    }

    Tensor Attend(Tensor x, VisionLayout layout)
    {
        using var fused = qkv.Forward(x);                           // rows of q, then k, then v: [patches, 3·Dv]
        using var queries = Part(fused, 0);                         // [patches, H, d]
        using var keys = Part(fused, 1);
        using var values = Part(fused, 2);
        layout.Angles.Rotate(queries);
        layout.Angles.Rotate(keys);

        using var mixed = Tensor.Empty(queries.Shape);
        var mask = overPictures ? layout.WithinPictures : layout.WithinWindows;
        Ops.Attention.Apply(queries, keys, values, mixed, mask, 1 / MathF.Sqrt(width / heads));
        return projection.Forward(mixed.Reshape(x.Rows, width));
    }

    Tensor Part(Tensor fused, int index)
    {
        var part = Tensor.Empty(fused.Rows, heads, width / heads);
        for (var row = 0; row < fused.Rows; row++)
            fused.Row(row).Slice(index * width, width).CopyTo(part.Slice(row, 1).Span<float>());
        return part;
    }
}
