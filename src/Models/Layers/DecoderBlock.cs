using Nibble.Models.Config;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>x ← x + attention(norm(x)); x ← x + mlp(norm(x)), or a mixture of experts in the place of the MLP.</summary>
sealed class DecoderBlock : IStage
{
    const string ExpertsName = "mlp.experts", RouterName = "mlp.gate";

    readonly RmsNorm attentionNorm, mlpNorm;
    readonly Attention attention;
    readonly MoeRouter? router;
    readonly int layer;

    DecoderBlock(DecoderConfig config, int layer, RopeCache rope, Weights weights)
    {
        this.layer = layer;
        attentionNorm = new(weights["input_layernorm"], config.Width, config.NormEpsilon);
        attention = new(config, layer, rope, weights["self_attn"]);
        mlpNorm = new(weights["post_attention_layernorm"], config.Width, config.NormEpsilon);
        router = config.ExpertsOf(layer) is { } experts ? new(experts, config.Width, layer, weights[RouterName]) : null;

        var inAttention = Attention.Modules(weights["self_attn"].Prefix);
        Steps =
        [
            new([], pass => pass.Input = attentionNorm.Forward(pass.Hidden), NormBack),
            new([InputGroup.OfInput(inAttention[..3])], pass => pass.Input = attention.Mix(pass.Input!, pass),
                (pass, gradient) => gradient.Input = attention.MixBack(pass.Input!, pass, gradient.Input!, gradient)),
            new([InputGroup.OfInput(inAttention[3])], AddAttention, AddAttentionBack),
            .. config.ExpertsOf(layer) is { } moe ? Experts(new(moe, config.Width, weights[ExpertsName]))
                : Mlp(new(weights["mlp"], config.Width, config.MlpWidth), GatedMlp.Modules(weights["mlp"].Prefix)),
        ];
    }

    public IReadOnlyList<Step> Steps { get; }

    /// <exception cref="ModelException">The checkpoint stores experts in a way this engine does not read.</exception>
    public static StageLoader Loader(DecoderConfig config, int layer, RopeCache rope, string prefix, ITensorSource names)
    {
        var attention = Attention.Modules($"{prefix}.self_attn");
        var attentionInput = new InputSource(attention[..3], NormWeight: $"{prefix}.input_layernorm.weight");
        StageLoader Of(IEnumerable<string> mlp, IEnumerable<string[]> groups, IReadOnlyList<string> readers, IEnumerable<string> writers) =>
            new(prefix, Scope.Language, [.. attention, .. mlp], [attention[..3], .. groups], [$"{prefix}.self_attn"],
                root => new DecoderBlock(config, layer, rope, root[prefix]))
            {
                Residual = new ResidualUse
                {
                    Norms = [new($"{prefix}.input_layernorm", attention[..3]), new($"{prefix}.post_attention_layernorm", readers)],
                    Writers = [attention[3], .. writers],
                    Values = new(attention[2], attention[3], config.HeadWidth),
                },
            };

        if (config.ExpertsOf(layer) is not { } experts)
        {
            var mlp = GatedMlp.Modules($"{prefix}.mlp");
            return Of(mlp, [mlp[..2]], mlp[..2], mlp[2..]) with
            {
                Sources =
                [
                    attentionInput,
                    new(mlp[..2], NormWeight: $"{prefix}.post_attention_layernorm.weight"),
                    new(mlp[2..], Producer: mlp[1]),
                ],
            };
        }
        MoeExperts.CheckNames(names, $"{prefix}.{ExpertsName}");
        var gates = MoeExperts.Gates(experts, $"{prefix}.{ExpertsName}");
        var first = gates.SelectMany(modules => modules).ToArray();
        var last = MoeExperts.Downs(experts, $"{prefix}.{ExpertsName}");
        return Of([.. first, .. last], gates, [$"{prefix}.{RouterName}", .. first], last) with
        {
            SharedInputs = [first, last],
            SharedWeights = gates,
            // The router has the norm's output too, so factors of the first modules' inputs cannot be moved there.
            Sources = [attentionInput, .. gates.Zip(last, (gate, down) => new InputSource([down], Producer: gate[1]))],
        };
    }

    Step[] Mlp(GatedMlp mlp, string[] modules) =>
    [
        new([InputGroup.OfInput(modules[..2])], pass => pass.Input = mlp.Gate(pass.Input!),
            (pass, gradient) => gradient.Input = mlp.GateBack(pass.Input!, gradient.Input!, gradient)),
        new([InputGroup.OfInput(modules[2])], pass => AddMlp(pass, mlp.Down(pass.Input!)),
            (pass, gradient) => gradient.Input = mlp.DownBack(pass.Input!, gradient.Hidden!, gradient)),
    ];

    Step[] Experts(MoeExperts experts) =>
    [
        new(experts.GateInputs, pass => pass.Input = experts.Gate(pass.Input!, pass.Routes!),
            (pass, gradient) => gradient.Input = experts.GateBack(pass.Input!, pass.Routes!, gradient.Input!, gradient)),
        new(experts.DownInputs, pass => AddMlp(pass, experts.Down(pass.Input!, pass.Routes!)),
            (pass, gradient) => gradient.Input = experts.DownBack(pass.Input!, pass.Routes!, gradient.Hidden!, gradient)),
    ];

    void AddAttention(Pass pass)
    {
        var x = attention.Project(pass.Input!);                     // [T, D]
        Elementwise.Add(pass.Hidden, x, x);
        (pass.Hidden, pass.Input) = (x, mlpNorm.Forward(x));
        pass.Routes = router?.Route(pass.Input, pass);
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
        if (router is not null)
        {
            using var normed = mlpNorm.Forward(x);
            router.Back(normed, gradient.RouteWeights!, gradient.Input!);
            gradient.RouteWeights = null;
        }
        using var dx = mlpNorm.Back(x, gradient.Input!);
        Elementwise.AddInPlace(gradient.Hidden!, dx);
        gradient.Input = attention.ProjectBack(pass.Input!, gradient.Hidden!, gradient);
    }

    /// <param name="y">[T, D]: the output of the MLP or of the experts, which becomes the residual stream.</param>
    void AddMlp(Pass pass, Tensor y)
    {
        Elementwise.Add(pass.Hidden, y, y);
        (pass.Hidden, pass.Input, pass.Routes) = (y, null, null);
        pass.Observe?.Invoke(Observed.Layer(layer), y);
    }
}
