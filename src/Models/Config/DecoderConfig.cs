using Nibble.Tensors.Ops;

namespace Nibble.Models.Config;

/// <summary>A decoder of pre-norm blocks: grouped-query attention with rotary positions, and a gated MLP or experts.</summary>
/// <param name="Width">D, the residual stream.</param>
/// <param name="KeyValueHeads">G; each serves <c>Heads / G</c> query heads.</param>
/// <param name="HeadWidth">d; the query projection has <c>Heads · d</c> rows, which need not be D.</param>
/// <param name="RopeSections">Frequencies that follow the temporal, height and width position; null: one position.</param>
/// <param name="Windows">Per layer: how many tokens a query sees, itself included; null: all before it.</param>
/// <param name="MaxPositions">What the model was trained for; a longer sequence is not an error.</param>
/// <param name="TiedEmbeddings">The head is the embedding table. A checkpoint without a head is tied too.</param>
public sealed record DecoderConfig(
    int Layers, int Width, int Heads, int KeyValueHeads, int HeadWidth, int MlpWidth, int Vocabulary, float NormEpsilon,
    RopeParameters Rope, IReadOnlyList<int>? RopeSections, IReadOnlyList<int?> Windows, int MaxPositions,
    bool QueryKeyNorm, bool TiedEmbeddings)
{
    /// <summary>Null where every layer has the gated MLP.</summary>
    public ExpertsConfig? Experts { get; init; }

    /// <summary>The experts in the place of a layer's MLP, or null.</summary>
    public ExpertsConfig? ExpertsOf(int layer) => Experts is { } experts && experts.Layers[layer] ? experts : null;

    // Beyond anything published, and small enough that sizes multiplied by a head width stay in an int.
    const int MostLayers = 4096, MostHeads = 4096, WidestHead = 4096, Widest = 1 << 18, WidestMlp = 1 << 20,
        LargestVocabulary = 1 << 22, MostPositions = 1 << 30;

    internal static DecoderConfig Read(ConfigObject config, TextFamily family, bool tied)
    {
        var width = config.Integer("hidden_size", 1, Widest);
        var layers = config.Integer("num_hidden_layers", 1, MostLayers);
        var heads = config.Integer("num_attention_heads", 1, MostHeads);
        var vocabulary = config.Integer("vocab_size", 1, LargestVocabulary);
        var mlpWidth = config.Integer("intermediate_size", 1, WidestMlp);
        ReadActivation(config);
        OneTensor(config, "vocab_size", vocabulary, width);
        OneTensor(config, "intermediate_size", mlpWidth, width);

        var headWidth = ReadHeadWidth(config, family, width, heads);
        OneTensor(config, "num_attention_heads", heads * headWidth, width);
        var maxPositions = config.Integer("max_position_embeddings", 1, MostPositions, family.MaxPositions);
        var experts = family.Experts ? ExpertsConfig.Read(config, layers, WidestMlp) : null;
        if (experts is not null)
            OneTensor(config, "moe_intermediate_size", experts.Width, width);
        var (rope, sections) = RopeConfig.Read(config, headWidth, family.RopeTheta, maxPositions);

        return new DecoderConfig(layers, width, heads, ReadKeyValueHeads(config, family, heads), headWidth, mlpWidth, vocabulary,
            (float)config.Number("rms_norm_eps", 0, 1, family.NormEpsilon), rope, sections, ReadWindows(config, family, layers),
            maxPositions, family.QueryKeyNorm, tied)
        {
            Experts = experts,
        };
    }

    /// <summary>The gated MLP uses SiLU; anything else would be a different network.</summary>
    internal static void ReadActivation(ConfigObject config)
    {
        if (config.Text("hidden_act") is not (null or "silu" or "swish"))
            throw config.Wrong("hidden_act", "silu");
    }

    static int ReadHeadWidth(ConfigObject config, TextFamily family, int width, int heads)
    {
        if (!config.Has("head_dim") && (family.HeadWidth is null || config.Mentions("head_dim")) && width % heads != 0)
            throw config.Wrong("num_attention_heads", $"a divisor of hidden_size {width}");
        var headWidth = config.Integer("head_dim", 2, WidestHead,
            config.Mentions("head_dim") ? width / heads : family.HeadWidth ?? width / heads);
        return headWidth % 2 == 0 && headWidth is > 0 and <= WidestHead
            ? headWidth
            : throw config.Wrong("head_dim", $"an even number up to {WidestHead} (absent: hidden_size / num_attention_heads)");
    }

    static int ReadKeyValueHeads(ConfigObject config, TextFamily family, int heads)
    {
        var otherwise = config.Mentions("num_key_value_heads") ? heads : family.KeyValueHeads ?? heads;
        var keyValueHeads = config.Integer("num_key_value_heads", 1, MostHeads, otherwise);
        return heads % keyValueHeads == 0
            ? keyValueHeads
            : throw config.Wrong("num_key_value_heads", $"a divisor of num_attention_heads {heads} (default {otherwise})");
    }

    static int?[] ReadWindows(ConfigObject config, TextFamily family, int layers)
    {
        var windows = new int?[layers];
        var types = config.Texts("layer_types");
        if (types is not null && types.Length != layers)
            throw config.Wrong("layer_types", $"{layers} entries, one per layer");
        if (types is not null && types.Any(type => type is not ("full_attention" or "sliding_attention")))
            throw config.Wrong("layer_types", "full_attention or sliding_attention");
        if (ReadWindow(config, family) is not { } window)
            return windows;

        var from = family.Windows == WindowRule.UpperLayers
            ? config.Integer("max_window_layers", 0, int.MaxValue, family.MaxWindowLayers)
            : 0;
        for (var layer = 0; layer < layers; layer++)
            if (types is null ? layer >= from : types[layer] == "sliding_attention")
                windows[layer] = window;
        return windows;
    }

    static int? ReadWindow(ConfigObject config, TextFamily family)
    {
        const int published = 4096; // where the key is absent and not null
        return family.Windows switch
        {
            WindowRule.Never => null,
            WindowRule.UpperLayers or WindowRule.EveryLayerOnRequest when !config.Flag("use_sliding_window", false) => null,
            _ when config.Mentions("sliding_window") && !config.Has("sliding_window") => null,
            _ => config.Integer("sliding_window", 1, MostPositions, published),
        };
    }

    // A tensor is addressed with one int per element.
    static void OneTensor(ConfigObject config, string key, int rows, int columns)
    {
        if ((long)rows * columns > int.MaxValue)
            throw config.Wrong(key, $"a matrix of at most {int.MaxValue} elements with hidden_size {columns}");
    }
}
