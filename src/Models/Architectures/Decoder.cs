using Nibble.Models.Config;
using Nibble.Models.Layers;
using Nibble.Tensors;

namespace Nibble.Models.Architectures;

/// <summary>The language half of a network: embedding, pre-norm blocks, final norm and head.</summary>
/// <remarks>
/// Llama (arXiv:2307.09288), Mistral (arXiv:2310.06825), Qwen2 (arXiv:2407.10671) and Qwen3 (arXiv:2505.09388; also with experts) are this network
/// with other numbers in <see cref="DecoderConfig"/>; biases are where the checkpoint has them.
/// </remarks>
sealed class Decoder
{
    readonly DecoderConfig config;
    readonly RopeCache rope;

    /// <param name="prefix">What precedes <c>layers</c> and <c>embed_tokens</c> in the checkpoint.</param>
    public Decoder(DecoderConfig config, string prefix, ITensorSource names)
    {
        this.config = config;
        rope = new RopeCache(config.Rope, config.RopeSections);
        var embedding = $"{prefix}.embed_tokens";
        // A packed head has no .weight, so any tensor below its name makes it one.
        var hasHead = names.Tensors.Any(tensor => tensor.Name.StartsWith(Head.Name + ".", StringComparison.Ordinal));
        Stages =
        [
            Embedding.Loader(config, embedding),
            .. Enumerable.Range(0, config.Layers).Select(i => DecoderBlock.Loader(config, i, rope, $"{prefix}.layers.{i}", names)),
            Head.Loader(config, $"{prefix}.norm", embedding, config.TiedEmbeddings || !hasHead ? null : Head.Name),
        ];
    }

    public IReadOnlyList<StageLoader> Stages { get; }

    public KvCache NewCache(int capacity) =>
        new([.. Enumerable.Range(0, config.Layers).Select(_ => new KvLayer(config.KeyValueHeads, config.HeadWidth, capacity))]);

    public bool CanContinue(KvCache cache, int tokens) =>
        cache.NextPosition == 0 || rope.Alike(cache.NextPosition, checked(cache.NextPosition + tokens));

    /// <exception cref="ModelException">There is no token, or one is not in the vocabulary.</exception>
    public void CheckTokens(int[] ids)
    {
        if (ids.Length == 0)
            throw new ModelException("A sample needs at least one token.");
        for (var i = 0; i < ids.Length; i++)
            if ((uint)ids[i] >= (uint)config.Vocabulary)
                throw new ModelException($"Token {i} is {ids[i]}; the vocabulary has {config.Vocabulary} entries.");
    }
}
