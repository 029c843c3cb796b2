using Nibble.Models.Config;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>The final norm, then one logit per word of the vocabulary.</summary>
sealed class Head : IStage
{
    /// <summary>What a head is called, also one that a checkpoint does not have because it is tied.</summary>
    public const string Name = "lm_head";

    readonly RmsNorm norm;
    readonly Linear head;

    Head(DecoderConfig config, Weights normWeights, Linear head, string? name)
    {
        norm = new(normWeights, config.Width, config.NormEpsilon);
        this.head = head;
        Steps =
        [
            new([], Normalise, NormaliseBack),
            new(name is null ? [] : [InputGroup.OfInput(name)], Predict, PredictBack),
        ];
    }

    public IReadOnlyList<Step> Steps { get; }

    /// <param name="head">The module's name; null: the embedding table is the head, and stays dense as a table.</param>
    public static StageLoader Loader(DecoderConfig config, string norm, string embedding, string? head) =>
        new(head ?? norm, Scope.Language, head is null ? [] : [head], [], [], root => new Head(config, root[norm], head is null
            ? new Linear(new DenseWeight(root[embedding].Tensor("weight", config.Vocabulary, config.Width)), null)
            : root.Linear(head, config.Vocabulary, config.Width), head))
        {
            Residual = new ResidualUse { Norms = [new(norm, [head ?? Name])], TiedTable = head is null ? $"{embedding}.weight" : null },
        };

    void Normalise(Pass pass)
    {
        var x = pass.LastLogitsOnly ? pass.Hidden.Slice(pass.Hidden.Rows - 1, 1) : pass.Hidden;
        pass.Input = norm.Forward(x);
        pass.Observe?.Invoke(Observed.Norm, pass.Input);
    }

    void NormaliseBack(Pass pass, Gradient gradient) =>
        (gradient.Hidden, gradient.Input) = (norm.Back(pass.Hidden, gradient.Input!), null);

    void Predict(Pass pass)
    {
        pass.Logits = head.Forward(pass.Input!);
        pass.Input = null;
        pass.Observe?.Invoke(Observed.Logits, pass.Logits);
    }

    void PredictBack(Pass pass, Gradient gradient) =>
        (gradient.Input, gradient.Logits) = (head.Back(pass.Input!, gradient.Logits!, gradient), null);
}
