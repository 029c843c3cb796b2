using Nibble.Models.Config;
using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>Token embeddings, with the features of the pictures in the place of their placeholders.</summary>
sealed class Embedding(DecoderConfig config, Weights weights) : IStage
{
    readonly Tensor table = weights.Tensor("weight", config.Vocabulary, config.Width);

    public IReadOnlyList<Step> Steps => [new([], Embed, EmbedBack)];

    public static StageLoader Loader(DecoderConfig config, string prefix) =>
        new(prefix, Scope.Language, [], [], [], root => new Embedding(config, root[prefix]))
        {
            Residual = new ResidualUse { Table = $"{prefix}.weight" },
        };

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

    /// <summary>Of the rows that are features of pictures; a table of embeddings is not quantized.</summary>
    static void EmbedBack(Pass pass, Gradient gradient)
    {
        var rows = Enumerable.Range(0, pass.ImageMask?.Length ?? 0).Where(token => pass.ImageMask![token]).ToArray();
        var d = rows.Length == 0 ? null : Tensor.Empty(rows.Length, gradient.Hidden!.Columns);
        for (var i = 0; i < rows.Length; i++)
            gradient.Hidden!.Row(rows[i]).CopyTo(d!.Row(i));
        (gradient.ImageFeatures, gradient.Hidden) = (d, null);
    }

    static void Place(Tensor features, bool[] mask, Tensor x)
    {
        var next = 0;
        for (var token = 0; token < mask.Length; token++)
            if (mask[token])
                features.Row(next++).CopyTo(x.Row(token));
    }
}
