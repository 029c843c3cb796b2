using Nibble.Models.Config;
using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>Token embeddings, with the features of the pictures in the place of their placeholders.</summary>
sealed class Embedding(DecoderConfig config, Weights weights) : IStage
{
    readonly Tensor table = weights.Tensor("weight", config.Vocabulary, config.Width);

    public IReadOnlyList<Step> Steps => [new([], Embed)];

    public static StageLoader Loader(DecoderConfig config, string prefix) =>
        new(prefix, Scope.Language, [], [], [], root => new Embedding(config, root[prefix]));

    void Embed(Pass pass)
    {
        var x = Tensor.Empty(pass.Sample.Ids.Length, config.Width);
        Ops.Embedding.Apply(table, pass.Sample.Ids, x);
        if (pass.ImageMask is not null)
            Place(pass.ImageFeatures!, pass.ImageMask, x);
        GC.KeepAlive(this);
        pass.Hidden = x;
        pass.Observe?.Invoke(Observed.Embed, x);
    }

    static void Place(Tensor features, bool[] mask, Tensor x)
    {
        var next = 0;
        for (var token = 0; token < mask.Length; token++)
            if (mask[token])
                features.Row(next++).CopyTo(x.Row(token));
    }
}
