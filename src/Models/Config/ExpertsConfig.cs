namespace Nibble.Models.Config;

/// <summary>A mixture of experts in the place of the gated MLP of some layers: arXiv:1701.06538, as in Qwen3 (arXiv:2505.09388).</summary>
/// <param name="Count">E, experts of a layer.</param>
/// <param name="PerToken">K, how many of them a token goes through.</param>
/// <param name="Width">Inner width of an expert.</param>
/// <param name="Normalised">The weights of a token's experts are divided by their sum.</param>
/// <param name="Layers">Per layer: whether it has experts; the others have the MLP.</param>
public sealed record ExpertsConfig(int Count, int PerToken, int Width, bool Normalised, IReadOnlyList<bool> Layers)
{
    // Published models have up to 512 experts in a layer and 25 000 in all.
    const int MostExperts = 4096, MostInAll = 1 << 18, MostLayers = 1 << 16;

    /// <summary>Null where no layer has experts.</summary>
    internal static ExpertsConfig? Read(ConfigObject config, int layers, int widestMlp)
    {
        // Transformers 5 writes the second key for what published checkpoints call by the first.
        var key = config.Has("num_experts") || !config.Has("num_local_experts") ? "num_experts" : "num_local_experts";
        var count = config.Integer(key, 0, MostExperts, 128);
        var step = config.Integer("decoder_sparse_step", 1, int.MaxValue, 1);
        var plain = (config.Integers("mlp_only_layers", 0, int.MaxValue, MostLayers) ?? []).ToHashSet();
        var sparse = Enumerable.Range(0, layers).Select(layer => count > 0 && (layer + 1) % step == 0 && !plain.Contains(layer)).ToArray();
        if (!sparse.Contains(true))
            return null;
        if ((long)count * sparse.Count(true.Equals) > MostInAll)
            throw config.Wrong(key, $"at most {MostInAll} experts in all layers together");

        var perToken = config.Integer("num_experts_per_tok", 1, count, Math.Min(8, count));
        return new ExpertsConfig(count, perToken, config.Integer("moe_intermediate_size", 1, widestMlp, 768),
            config.Flag("norm_topk_prob", false), sparse);
    }
}
