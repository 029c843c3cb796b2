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
            new([], pass => pass.Input = attentionNorm.Forward(pass.Hidden), NormBack),
            new([InputGroup.OfInput(inAttention[..3])], pass => pass.Input = attention.Mix(pass.Input!, pass),
                (pass, gradient) => gradient.Input = attention.MixBack(pass.Input!, pass, gradient.Input!, gradient)),
            new([InputGroup.OfInput(inAttention[3])], AddAttention, AddAttentionBack),
            new([InputGroup.OfInput(inMlp[..2])], pass => pass.Input = mlp.Gate(pass.Input!),
                (pass, gradient) => gradient.Input = mlp.GateBack(pass.Input!, gradient.Input!, gradient)),
            new([InputGroup.OfInput(inMlp[2])], AddMlp,
                (pass, gradient) => gradient.Input = mlp.DownBack(pass.Input!, gradient.Hidden!, gradient)),
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

    void NormBack(Pass pass, Gradient gradient)
    {
        using var dx = attentionNorm.Back(pass.Hidden, gradient.Input!);
        Elementwise.AddInPlace(gradient.Hidden!, dx);
        gradient.Input = null;
    }

    void AddAttentionBack(Pass pass, Gradient gradient)
    {
        using var x = attention.Project(pass.Input!);
        Elementwise.Add(pass.Hidden, x, x);
        using var dx = mlpNorm.Back(x, gradient.Input!);
        Elementwise.AddInPlace(gradient.Hidden!, dx);
        gradient.Input = attention.ProjectBack(pass.Input!, gradient.Hidden!, gradient);
    }

    void AddMlp(Pass pass)
    {
        var y = mlp.Down(pass.Input!);
        Elementwise.Add(pass.Hidden, y, y);
        (pass.Hidden, pass.Input) = (y, null);
        pass.Observe?.Invoke(Observed.Layer(layer), y);
    }
}
