using Nibble.Models.Config;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>
/// Chooses the experts of every token: the K largest of softmax(W x), which are also their weights, divided by their sum where the model
/// says so. It stays in full precision and is no module of a plan: a wrong choice costs more than the bits of so small a matrix.
/// </summary>
sealed class MoeRouter(ExpertsConfig config, int width, int layer, Weights weights)
{
    readonly Tensor weight = weights.Floats("weight", config.Count, width);

    /// <param name="x">[T, D] F32.</param>
    /// <param name="pass">Whose observer gets the logits and the choice.</param>
    public Routes Route(Tensor x, Pass pass)
    {
        using var logits = Tensor.Empty(x.Rows, config.Count);
        MatMul.Apply(x, weight, logits);
        pass.Observe?.Invoke(Observed.RouterLogits(layer), logits);
        var routes = Choose(logits, config.PerToken, config.Normalised);
        if (pass.Observe is not null)
            Show(routes, pass.Observe);
        GC.KeepAlive(this);
        return routes;
    }

    /// <summary>Adds what the weights of the experts are worth to the gradient of x; which experts are chosen counts as given.</summary>
    /// <param name="dWeights">By expert and its tokens.</param>
    /// <param name="dx">[T, D].</param>
    public void Back(Tensor x, float[][] dWeights, Tensor dx)
    {
        using Tensor logits = Tensor.Empty(x.Rows, config.Count), d = Tensor.Zeros(logits.Shape);
        MatMul.Apply(x, weight, logits);
        var routes = Choose(logits, config.PerToken, config.Normalised);

        // With w = s / Σ s of the chosen, or w = s = softmax(logits): dlogits = w ⊙ (dw - Σ w·dw), over the chosen or over all.
        var means = new float[x.Rows];
        for (var expert = 0; expert < config.Count; expert++)
            for (var i = 0; i < dWeights[expert].Length; i++)
                means[routes.Tokens(expert)[i]] += routes.Weights(expert)[i] * dWeights[expert][i];
        if (!config.Normalised)
        {
            Softmax.Apply(logits, d);
            for (var token = 0; token < d.Rows; token++)
                TensorPrimitives.Multiply(d.Row(token), -means[token], d.Row(token));
        }
        for (var expert = 0; expert < config.Count; expert++)
            for (var i = 0; i < dWeights[expert].Length; i++)
            {
                var token = routes.Tokens(expert)[i];
                d.Row(token)[expert] += routes.Weights(expert)[i] * (dWeights[expert][i] - (config.Normalised ? means[token] : 0));
            }
        LinearGradient.Apply(d, new DenseWeight(weight), dx, add: true);
        GC.KeepAlive(this);
    }

    /// <summary>Of equal probabilities the lower expert is chosen; PyTorch leaves that open.</summary>
    /// <param name="logits">[T, E] F32.</param>
    /// <param name="perToken">K.</param>
    internal static Routes Choose(Tensor logits, int perToken, bool normalised)
    {
        using var shares = Tensor.Empty(logits.Shape);
        Softmax.Apply(logits, shares);
        var chosen = TopK.Apply(shares, perToken);
        var weights = new float[chosen.Length];
        for (var i = 0; i < chosen.Length; i++)
            weights[i] = shares.Row(i / perToken)[chosen[i]];
        for (var start = 0; normalised && start < weights.Length; start += perToken)
        {
            var own = weights.AsSpan(start, perToken);
            TensorPrimitives.Divide(own, TensorPrimitives.Sum<float>(own), own);
        }
        return new Routes(chosen, weights, logits.Rows, logits.Columns);
    }

    /// <summary>The weight of every expert for one token, zero for those it does not go through.</summary>
    internal static double[] Definition(ReadOnlySpan<float> logits, int perToken, bool normalised)
    {
        var (all, largest) = (logits.ToArray(), logits.ToArray().Max());
        var total = all.Sum(logit => Math.Exp((double)logit - largest));
        var shares = all.Select(logit => Math.Exp((double)logit - largest) / total).ToArray();
        var chosen = Enumerable.Range(0, shares.Length).OrderByDescending(expert => shares[expert]).ThenBy(expert => expert)
            .Take(perToken).ToHashSet();
        var sum = normalised ? chosen.Sum(expert => shares[expert]) : 1;
        return [.. shares.Select((share, expert) => chosen.Contains(expert) ? share / sum : 0)];
    }

    /// <summary>The choice as recordings have it: per token, ascending by expert.</summary>
    void Show(Routes routes, Action<string, Tensor> observe)
    {
        using var experts = Tensor.Empty(routes.TokenCount, config.PerToken);
        using var weights = Tensor.Empty(experts.Shape);
        var next = new int[routes.TokenCount];
        for (var expert = 0; expert < routes.Experts; expert++)
            for (var i = 0; i < routes.Tokens(expert).Length; i++)
            {
                var token = routes.Tokens(expert)[i];
                experts.Row(token)[next[token]] = expert;
                weights.Row(token)[next[token]++] = routes.Weights(expert)[i];
            }
        observe(Observed.Experts(layer), experts);
        observe(Observed.ExpertWeights(layer), weights);
    }
}
