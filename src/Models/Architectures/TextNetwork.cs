using Nibble.Models.Config;
using Nibble.Tensors;

namespace Nibble.Models.Architectures;

/// <summary>A network that is a decoder and nothing else: llama, mistral, qwen2, qwen3, qwen3_moe.</summary>
sealed class TextNetwork : INetwork
{
    readonly TextConfig config;
    readonly Decoder decoder;

    public TextNetwork(TextConfig config, ITensorSource names)
    {
        this.config = config;
        decoder = new Decoder(config.Text, Networks.FindPrefix(names, "embed_tokens.weight", "model"), names);
    }

    public string ModelType => config.ModelType;

    public int VocabularySize => config.Text.Vocabulary;

    public IReadOnlyList<StageLoader> Stages => decoder.Stages;

    public IReadOnlyList<StageLoader> LanguageStages => decoder.Stages;

    public KvCache NewCache(int capacity = 0) => decoder.NewCache(capacity);

    public bool CanContinue(KvCache cache, int tokens) => decoder.CanContinue(cache, tokens);

    public Pass Begin(Sample sample, KvCache? cache = null)
    {
        decoder.CheckTokens(sample.Ids);
        if (sample.Images.Count > 0)
            throw new ModelException($"{ModelType} takes no pictures; the sample has {sample.Images.Count}.");

        var start = cache?.NextPosition ?? 0;
        if (cache is not null)
            cache.NextPosition = checked(start + sample.Ids.Length);
        return new Pass(sample, cache) { Positions = [[.. Enumerable.Range(start, sample.Ids.Length)]] };
    }
}
