using Nibble.Models.Config;
using Nibble.Tensors;
using Ops = Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>Causal grouped-query attention (arXiv:2305.13245) with rotary positions, over a window where there is one.</summary>
sealed class Attention(DecoderConfig config, int layer, RopeCache rope, Weights weights)
{
    readonly Linear q = weights.Linear("q_proj", config.Heads * config.HeadWidth, config.Width);
    readonly Linear k = weights.Linear("k_proj", config.KeyValueHeads * config.HeadWidth, config.Width);
    readonly Linear v = weights.Linear("v_proj", config.KeyValueHeads * config.HeadWidth, config.Width);
    readonly Linear o = weights.Linear("o_proj", config.Width, config.Heads * config.HeadWidth);
    readonly RmsNorm? queryNorm = config.QueryKeyNorm ? new(weights["q_norm"], config.HeadWidth, config.NormEpsilon) : null;
    readonly RmsNorm? keyNorm = config.QueryKeyNorm ? new(weights["k_norm"], config.HeadWidth, config.NormEpsilon) : null;
    readonly IKeyValueFilter? filter = weights.KeyValues();
    readonly Ops.AttentionMask mask = config.Windows[layer] is { } window
        ? Ops.AttentionMask.SlidingWindow(window)
        : Ops.AttentionMask.Causal;

    readonly float scale = 1 / MathF.Sqrt(config.HeadWidth);

    /// <summary>The modules below a prefix, in the order of first use; the first three share their input.</summary>
    public static string[] Modules(string prefix) =>
        [$"{prefix}.q_proj", $"{prefix}.k_proj", $"{prefix}.v_proj", $"{prefix}.o_proj"];

    /// <summary>Everything before the last matrix.</summary>
    /// <param name="x">[T, D] F32.</param>
    /// <param name="pass">Positions, and the cache that the new keys and values join.</param>
    /// <returns>[T, H · d].</returns>
    public Tensor Mix(Tensor x, Pass pass)
    {
        using var queries = Heads(q.Forward(x), config.Heads, queryNorm);                 // [T, H, d]
        using var keys = Heads(k.Forward(x), config.KeyValueHeads, keyNorm);              // [T, G, d]
        using var values = Heads(v.Forward(x), config.KeyValueHeads, null);               // [T, G, d]
        var angles = rope.Of(pass.Positions);
        angles.Rotate(queries);
        angles.Rotate(keys);
        filter?.Apply(keys, values);

        var (allKeys, allValues) = pass.Cache?.Layers[layer].Append(keys, values) ?? (keys, values);  // [S, G, d]
        var mixed = Tensor.Empty(queries.Shape);                                          // [T, H, d]
        Ops.Attention.Apply(queries, allKeys, allValues, mixed, mask, scale);
        return mixed.Reshape(x.Rows, config.Heads * config.HeadWidth);
    }

    /// <param name="mixed">[T, H · d] F32.</param>
    /// <returns>[T, D].</returns>
    public Tensor Project(Tensor mixed) => o.Forward(mixed);

    Tensor Heads(Tensor projected, int heads, RmsNorm? norm)
    {
        var split = projected.Reshape(projected.Rows, heads, config.HeadWidth);
        if (norm is null)
            return split;
        using (split)
            return norm.Forward(split);
    }
}
