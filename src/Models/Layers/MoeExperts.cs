using Nibble.Models.Config;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>
/// y = Σₑ weightₑ · mlpₑ(x) over the experts of a token, each a gated MLP of its own. The tokens of an expert are gathered and go
/// through it together, so that every matrix is read once; an expert without tokens costs nothing.
/// </summary>
sealed class MoeExperts
{
    readonly GatedMlp[] experts;
    readonly ExpertsConfig config;
    readonly int width;

    /// <param name="width">D.</param>
    /// <param name="weights">Below it the experts are named by number.</param>
    public MoeExperts(ExpertsConfig config, int width, Weights weights)
    {
        (this.config, this.width) = (config, width);
        experts = [.. Enumerable.Range(0, config.Count).Select(expert => new GatedMlp(weights[expert], width, config.Width))];
        GateInputs = [.. Gates(config, weights.Prefix).Select((modules, expert) => new InputGroup(modules, pass => Rows(pass, expert,
            (routes, x) => routes.Gather(x, expert))))];
        DownInputs = [.. Downs(config, weights.Prefix).Select((module, expert) => new InputGroup([module], pass => Rows(pass, expert,
            (routes, inner) => routes.Of(inner, expert).Clone())))];
    }

    /// <summary>Each expert's first two modules, with the tokens that go through it.</summary>
    public IReadOnlyList<InputGroup> GateInputs { get; }

    /// <summary>Each expert's last module, with the inner rows of those tokens.</summary>
    public IReadOnlyList<InputGroup> DownInputs { get; }

    /// <summary>Per expert the modules that are multiplied with its tokens.</summary>
    public static string[][] Gates(ExpertsConfig config, string prefix) =>
        [.. Enumerable.Range(0, config.Count).Select(expert => GatedMlp.Modules($"{prefix}.{expert}")[..2])];

    /// <summary>Per expert the module that comes last.</summary>
    public static string[] Downs(ExpertsConfig config, string prefix) =>
        [.. Enumerable.Range(0, config.Count).Select(expert => GatedMlp.Modules($"{prefix}.{expert}")[2])];

    /// <summary>Experts of one layer stored as a single tensor, as Transformers holds them in memory, are another layout.</summary>
    /// <exception cref="ModelException">The checkpoint has them so.</exception>
    public static void CheckNames(ITensorSource names, string prefix)
    {
        if (names.Find($"{prefix}.gate_up_proj") is { } fused)
            throw new ModelException($"{fused.Name}: all experts of a layer in one tensor {fused.Shape}; " +
                $"expected one tensor each, {prefix}.0.gate_proj.weight and so on, as Transformers saves them.");
    }

    /// <param name="x">[T, D] F32.</param>
    /// <returns>The inner rows of all experts, [rows, inner].</returns>
    public Tensor Gate(Tensor x, Routes routes)
    {
        var all = Tensor.Empty(routes.Rows, config.Width);
        for (var expert = 0; expert < experts.Length; expert++)
        {
            if (routes.Tokens(expert).Length == 0)
                continue;
            using var rows = routes.Gather(x, expert);
            using var inner = experts[expert].Gate(rows);
            inner.Span<float>().CopyTo(routes.Of(all, expert).Span<float>());
        }
        return all;
    }

    /// <param name="all">What <see cref="Gate"/> returned.</param>
    /// <returns>[T, D].</returns>
    public Tensor Down(Tensor all, Routes routes)
    {
        var y = Tensor.Zeros(routes.TokenCount, width);
        for (var expert = 0; expert < experts.Length; expert++)
        {
            if (routes.Tokens(expert).Length == 0)
                continue;
            using var rows = experts[expert].Down(routes.Of(all, expert));
            routes.Scatter(rows, expert, y);
        }
        return y;
    }

    /// <summary>Back through <see cref="Gate"/>.</summary>
    /// <param name="dAll">[rows, inner].</param>
    /// <returns>[T, D].</returns>
    public Tensor GateBack(Tensor x, Routes routes, Tensor dAll, Gradient gradient)
    {
        var dx = Tensor.Zeros(x.Shape);
        for (var expert = 0; expert < experts.Length; expert++)
        {
            var tokens = routes.Tokens(expert);
            if (tokens.Length == 0)
                continue;
            using var rows = routes.Gather(x, expert);
            using var dRows = experts[expert].GateBack(rows, routes.Of(dAll, expert), gradient);
            for (var i = 0; i < tokens.Length; i++)
                TensorPrimitives.Add(dx.Row(tokens[i]), dRows.Row(i), dx.Row(tokens[i]));
        }
        return dx;
    }

    /// <summary>Back through <see cref="Down"/>; leaves what the weights of the routes are worth.</summary>
    /// <param name="dy">[T, D].</param>
    /// <returns>[rows, inner].</returns>
    public Tensor DownBack(Tensor all, Routes routes, Tensor dy, Gradient gradient)
    {
        var (dAll, dWeights) = (Tensor.Empty(all.Shape), new float[experts.Length][]);
        for (var expert = 0; expert < experts.Length; expert++)
        {
            dWeights[expert] = new float[routes.Tokens(expert).Length];
            if (dWeights[expert].Length == 0)
                continue;
            using Tensor rows = experts[expert].Down(routes.Of(all, expert)), dRows = routes.Gather(dy, expert);
            for (var i = 0; i < rows.Rows; i++)
            {
                dWeights[expert][i] = TensorPrimitives.Dot<float>(rows.Row(i), dRows.Row(i));
                TensorPrimitives.Multiply(dRows.Row(i), routes.Weights(expert)[i], dRows.Row(i));
            }
            using var dInner = experts[expert].DownBack(routes.Of(all, expert), dRows, gradient);
            dInner.Span<float>().CopyTo(routes.Of(dAll, expert).Span<float>());
        }
        gradient.RouteWeights = dWeights;
        return dAll;
    }

    /// <summary>One token through all experts, those of weight zero included.</summary>
    /// <param name="weights">Of every expert.</param>
    /// <param name="experts">Gate and up [inner, D] and down [D, inner] of every expert.</param>
    internal static double[] Definition(
        ReadOnlySpan<float> x, double[] weights, IReadOnlyList<(float[,] Gate, float[,] Up, float[,] Down)> experts)
    {
        var y = new double[x.Length];
        for (var expert = 0; expert < experts.Count; expert++)
        {
            var (gate, up, down) = experts[expert];
            for (var i = 0; i < gate.GetLength(0); i++)
            {
                double gated = 0, raised = 0;
                for (var j = 0; j < x.Length; j++)
                    (gated, raised) = (gated + (double)gate[i, j] * x[j], raised + (double)up[i, j] * x[j]);
                var inner = gated / (1 + Math.Exp(-gated)) * raised;
                for (var j = 0; j < x.Length; j++)
                    y[j] += weights[expert] * down[j, i] * inner;
            }
        }
        return y;
    }

    static InputRows? Rows(Pass pass, int expert, Func<Routes, Tensor, Tensor> take) =>
        pass is { Routes: { } routes, Input: { } input } && routes.Tokens(expert) is { Length: > 0 } tokens
            ? new InputRows(take(routes, input), tokens)
            : null;
}
