using Nibble.Models.Config;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>x ← x + attention(norm(x)); x ← x + mlp(norm(x)).</summary>
sealed class DecoderBlock(DecoderConfig config, int layer, RopeCache rope, Weights weights) : IStage
{
    readonly RmsNorm attentionNorm = new(weights["input_layernorm"], config.Width, config.NormEpsilon);
    readonly Attention attention = new(config, layer, rope, weights["self_attn"]);
    readonly RmsNorm mlpNorm = new(weights["post_attention_layernorm"], config.Width, config.NormEpsilon);
    readonly GatedMlp mlp = new(weights["mlp"], config.Width, config.MlpWidth);

    public static StageLoader Loader(DecoderConfig config, int layer, RopeCache rope, string prefix)
    {
        var attention = Attention.Modules($"{prefix}.self_attn");
        var mlp = GatedMlp.Modules($"{prefix}.mlp");
        return new StageLoader(prefix, Scope.Language,
            [.. attention, .. mlp], [attention[..3], mlp[..2]], [$"{prefix}.self_attn"],
            root => new DecoderBlock(config, layer, rope, root[prefix]));
    }

    public void Forward(Pass pass)
    {
        using var normed = attentionNorm.Forward(pass.Hidden);      // [T, D]
        using var x = attention.Forward(normed, pass);
        Elementwise.Add(pass.Hidden, x, x);

        using var normedAgain = mlpNorm.Forward(x);
        var y = mlp.Forward(normedAgain);
        Elementwise.Add(x, y, y);
        pass.Hidden = y;
        pass.Observe?.Invoke(Observed.Layer(layer), y);
    }
}
