using Nibble.Export;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Tests.Quant;

/// <summary>
/// ModelOpt's simulated weights in place of the codes of a written checkpoint; how activations, keys and values are rounded, and
/// their scales, are the checkpoint's.
/// </summary>
/// <param name="nudge">Moves every activation scale by up to a millionth of it, where given.</param>
sealed class SimulatedModules(ITensorSource source, QuantizedCheckpoint written, Random? nudge = null) : IModuleSource
{
    const double LargestNudge = 1e-6;

    public ILinearWeight Linear(string module)
    {
        var weight = source.Load(module + ".weight");
        return written.Quantization!.Linear(module) is { } stored
            ? new Simulated(new DenseWeight(ModelOptFakeQuant.Weights(weight, stored.Scheme.Weight, [.. OneWith(module)])),
                stored.Scheme.Activation, stored.InputScale * Nudge())
            : new DenseWeight(weight);
    }

    /// <summary>The simulated model holds gate and up of an expert in one tensor, whatever the checkpoint does.</summary>
    IEnumerable<Tensor> OneWith(string module)
    {
        if (!module.Contains(".experts.", StringComparison.Ordinal))
            yield break;
        var (expert, name) = (module[..module.LastIndexOf('.')], module[(module.LastIndexOf('.') + 1)..]);
        if (name is "gate_proj" or "up_proj")
            yield return source.Load($"{expert}.{(name == "up_proj" ? "gate_proj" : "up_proj")}.weight");
    }

    public IKeyValueFilter? KeyValues(string attention) => written.KeyValues(attention);

    float Nudge() => (float)(1 + (nudge is null ? 0 : (2 * nudge.NextDouble() - 1) * LargestNudge));
}

/// <summary>A dense weight whose inputs are rounded.</summary>
sealed class Simulated(DenseWeight weight, ActivationFormat? activation, float inputScale) : ILinearWeight
{
    public int Rows => weight.Rows;

    public int Columns => weight.Columns;

    public long Bytes => weight.Bytes;

    public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

    public void Multiply(Tensor x, Tensor y)
    {
        using var rounded = x.Clone();
        for (var row = 0; row < rounded.Rows; row++)
            activation?.Round(rounded.Row(row), inputScale);
        weight.Multiply(rounded, y);
    }
}
