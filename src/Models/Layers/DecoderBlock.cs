using Nibble.Models.Config;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>x ← x + attention(norm(x)); x ← x + mlp(norm(x)).</summary>
sealed class DecoderBlock : IStage
{
    readonly RmsNorm attentionNorm, mlpNorm;
    readonly Attention attention;
    readonly GatedMlp mlp;
    readonly int layer;

    DecoderBlock(DecoderConfig config, int layer, RopeCache rope, Weights weights)
    {
        this.layer = layer;
        attentionNorm = new(weights["input_layernorm"], config.Width, config.NormEpsilon);
        attention = new(config, layer, rope, weights["self_attn"]);
        mlpNorm = new(weights["post_attention_layernorm"], config.Width, config.NormEpsilon);
        mlp = new(weights["mlp"], config.Width, config.MlpWidth);

        var (inAttention, inMlp) = (Attention.Modules(weights["self_attn"].Prefix), GatedMlp.Modules(weights["mlp"].Prefix));
        Steps =
        [
            new([], pass => pass.Input = attentionNorm.Forward(pass.Hidden)),
            new([InputGroup.OfInput(inAttention[..3])], pass => pass.Input = attention.Mix(pass.Input!, pass)),
            new([InputGroup.OfInput(inAttention[3])], AddAttention),
            new([InputGroup.OfInput(inMlp[..2])], pass => pass.Input = mlp.Gate(pass.Input!)),
            new([InputGroup.OfInput(inMlp[2])], AddMlp),
        ];
    }

    public IReadOnlyList<Step> Steps { get; }

    public static StageLoader Loader(DecoderConfig config, int layer, RopeCache rope, string prefix)
    {
        var attention = Attention.Modules($"{prefix}.self_attn");
        var mlp = GatedMlp.Modules($"{prefix}.mlp");
        return new StageLoader(prefix, Scope.Language,
            [.. attention, .. mlp], [attention[..3], mlp[..2]], [$"{prefix}.self_attn"],
            root => new DecoderBlock(config, layer, rope, root[prefix]))
        {
            Sources =
            [
                new(attention[..3], NormWeight: $"{prefix}.input_layernorm.weight"),
                new(mlp[..2], NormWeight: $"{prefix}.post_attention_layernorm.weight"),
                new(mlp[2..], Producer: mlp[1]),
            ],
        };
    }

    void AddAttention(Pass pass)
    {
        var x = attention.Project(pass.Input!);                     // [T, D]
        Elementwise.Add(pass.Hidden, x, x);
        (pass.Hidden, pass.Input) = (x, mlpNorm.Forward(x));
    }

    void AddMlp(Pass pass)
    {
        var y = mlp.Down(pass.Input!);
        Elementwise.Add(pass.Hidden, y, y);
        (pass.Hidden, pass.Input) = (y, null);
        pass.Observe?.Invoke(Observed.Layer(layer), y);
    }
}
