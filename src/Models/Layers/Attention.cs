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

    /// <summary>Back through <see cref="Mix"/> of a whole sequence; a cache format counts as if it did not round.</summary>
    /// <param name="dMixed">[T, H · d].</param>
    /// <returns>[T, D].</returns>
    public Tensor MixBack(Tensor x, Pass pass, Tensor dMixed, Gradient gradient)
    {
        using Tensor projectedQueries = Heads(q.Forward(x), config.Heads, null), projectedKeys = Heads(k.Forward(x), config.KeyValueHeads, null);
        using Tensor queries = queryNorm?.Forward(projectedQueries) ?? projectedQueries.Clone();
        using Tensor keys = keyNorm?.Forward(projectedKeys) ?? projectedKeys.Clone(), values = Heads(v.Forward(x), config.KeyValueHeads, null);
        var angles = rope.Of(pass.Positions);
        angles.Rotate(queries);
        angles.Rotate(keys);

        using Tensor dQueries = Tensor.Empty(queries.Shape), dKeys = Tensor.Empty(keys.Shape), dValues = Tensor.Empty(values.Shape);
        Ops.AttentionGradient.Apply(queries, keys, values, dMixed.Reshape(queries.Shape.Dimensions), mask, scale, dQueries, dKeys, dValues);
        angles.RotateBack(dQueries);
        angles.RotateBack(dKeys);
        using Tensor dProjectedQueries = queryNorm?.Back(projectedQueries, dQueries) ?? dQueries;
        using Tensor dProjectedKeys = keyNorm?.Back(projectedKeys, dKeys) ?? dKeys;
        var dx = q.Back(x, dProjectedQueries.Reshape(x.Rows, q.Out), gradient);
        k.Back(x, dProjectedKeys.Reshape(x.Rows, k.Out), gradient, dx);
        return v.Back(x, dValues.Reshape(x.Rows, v.Out), gradient, dx);
    }

    /// <param name="mixed">[T, H · d] F32.</param>
    /// <returns>[T, D].</returns>
    public Tensor Project(Tensor mixed) => o.Forward(mixed);

    /// <summary>Back through <see cref="Project"/>.</summary>
    public Tensor ProjectBack(Tensor mixed, Tensor dy, Gradient gradient) => o.Back(mixed, dy, gradient);

    Tensor Heads(Tensor projected, int heads, RmsNorm? norm)
    {
        var split = projected.Reshape(projected.Rows, heads, config.HeadWidth);
        if (norm is null)
            return split;
        using (split)
            return norm.Forward(split);
    }
}
