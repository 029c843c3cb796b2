using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>A quantized linear layer as stored.</summary>
/// <param name="Scheme">Formats of weights and activations.</param>
/// <param name="InputScale">Of the activations; 1 where the scheme stores none.</param>
public sealed record StoredLinear(Scheme Scheme, QuantizedWeight Weight, float InputScale)
{
    /// <summary>[in] What inputs are multiplied with before they are rounded; null for nothing.</summary>
    public float[]? PreQuantScale { get; init; }

    /// <summary>What is added to the product with the codes, of inputs that are scaled but not rounded; null for nothing.</summary>
    public LowRank? LowRank { get; init; }

    /// <summary>As a layer of a network holds it.</summary>
    public PackedWeight Pack() => new(Weight, Scheme.Activation, InputScale) { PreQuantScale = PreQuantScale, LowRank = LowRank };

    /// <summary>The layer [out, in] of tensors in ModelOpt's layout. Codes share the bytes of their tensor where the layout allows.</summary>
    /// <param name="load">A tensor as the format has it.</param>
    /// <param name="path">The file or folder, for errors.</param>
    /// <exception cref="CheckpointException">A scale is no number above 0.</exception>
    internal static StoredLinear Of(string module, ModelOptFormat format, int rows, int columns, ModelOptExtras extras,
        Func<TensorSpec, Tensor> load, string path)
    {
        var parts = format.Specs(module, rows, columns).ToDictionary(spec => spec.Name[(module.Length + 1)..], load);
        var scheme = format.Scheme!;
        var codes = format.RowPairs ? RowPairs.ToColumnPairs(parts["weight"]) : parts["weight"];
        var stored = parts["weight_scale"];
        var scales = scheme.Weight.ScaleType is not { } type ? null
            : format.RowsPerScale > 1 ? BlockScales.Spread(stored, scheme.Weight, rows, columns)
            : ModelOptLayout.View(stored, new TensorSpec("weight_scale", type, stored.Shape));
        var tensorScale = format.Group < 0 ? Positive("weight_scale") : format.SecondScale ? Positive("weight_scale_2") : 1;
        var weight = new QuantizedWeight(scheme.Weight, rows, columns, codes, scales, tensorScale);
        var factors = extras.LoadFactors(module, rows, columns, load);
        return new StoredLinear(scheme with { PreQuantScale = scheme.PreQuantScale || factors is not null, LowRank = extras.Rank },
            weight, format.InputScale ? Positive("input_scale") : 1)
        {
            PreQuantScale = factors is null || Array.TrueForAll(factors, factor => float.IsFinite(factor) && factor > 0) ? factors
                : throw new CheckpointException(path, "finite numbers above 0 expected", $"{module}.pre_quant_scale"),
            LowRank = extras.LoadLowRank(module, rows, columns, load),
        };

        float Positive(string name)
        {
            var value = parts[name].Span<float>()[0];
            return float.IsFinite(value) && value > 0 ? value
                : throw new CheckpointException(path, $"a number above 0 expected; found {value}", $"{module}.{name}");
        }
    }
}

/// <summary>A quantized key/value cache of one attention module; scales of 1 where none are stored.</summary>
public sealed record StoredKeyValues(KeyValueFormat Format, float KeyScale, float ValueScale)
{
    /// <summary>[1, heads, 1, d]; null for none.</summary>
    public Tensor? KeyBias { get; init; }

    /// <summary>[1, heads, 1, d]; null for none.</summary>
    public Tensor? ValueBias { get; init; }
}
