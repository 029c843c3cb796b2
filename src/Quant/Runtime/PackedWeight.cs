using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Runtime;

/// <summary>
/// A quantized matrix as a layer holds it, decoded while it is multiplied with: y = Q(x·s)·Wᵀ + (x·s)·Aᵀ·Bᵀ, s being the factors of
/// the inputs, Q their rounding, and B·A what is kept beside the codes; each of the three may be missing.
/// </summary>
/// <param name="activation">Null where inputs stay as they are.</param>
/// <param name="inputScale">What <see cref="ActivationFormat.Scale"/> gave; 1 for dynamic formats.</param>
/// <exception cref="QuantizationException">The input scale is not a positive finite number, or a part does not fit the matrix.</exception>
public sealed class PackedWeight(QuantizedWeight weight, ActivationFormat? activation = null, float inputScale = 1)
    : ILinearWeight
{
    readonly float inputScale = inputScale > 0 && float.IsFinite(inputScale)
        ? inputScale
        : throw new QuantizationException($"an input scale cannot be {inputScale}");

    public QuantizedWeight Weight => weight;

    public ActivationFormat? Activation => activation;

    /// <summary>[in] What inputs are multiplied with before they are rounded; null for nothing.</summary>
    public float[]? PreQuantScale
    {
        get;
        init => field = value is null || value.Length == weight.Columns ? value
            : throw new QuantizationException($"{weight.Columns} factors of inputs expected; got {value.Length}");
    }

    /// <summary>What is added to the product with the codes; null for nothing.</summary>
    public LowRank? LowRank
    {
        get;
        init => field = value is null || value.Down.Columns == weight.Columns && value.Up.Rows == weight.Rows && value.Up.Columns == value.Rank
            ? value : throw new QuantizationException(
                $"a part of low rank of [{weight.Rows}, {weight.Columns}] expected; got {value.Up} times {value.Down}");
    }

    public int Rows => weight.Rows;

    public int Columns => weight.Columns;

    public long Bytes => weight.Bytes + 4L * (PreQuantScale?.Length ?? 0) + (LowRank?.Bytes ?? 0);

    /// <summary>The numbers behind the codes: without the factors and without the part of low rank.</summary>
    public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

    public void Multiply(Tensor x, Tensor y)
    {
        if (activation is null && PreQuantScale is null)
        {
            MatMul.Apply(x, weight, y);
            AddLowRank(x, y);
            return;
        }
        using var inputs = x.Clone();
        if (PreQuantScale is { } factors)
            for (var row = 0; row < inputs.Rows; row++)
                TensorPrimitives.Multiply(inputs.Row(row), factors, inputs.Row(row));
        using var rounded = activation is not null && LowRank is not null ? inputs.Clone() : null;
        if (activation is not null)
            Round(rounded ?? inputs);
        MatMul.Apply(rounded ?? inputs, weight, y);
        AddLowRank(inputs, y);
    }

    void Round(Tensor inputs)
    {
        for (var row = 0; row < inputs.Rows; row++)
            activation!.Round(inputs.Row(row), inputScale);
    }

    void AddLowRank(Tensor inputs, Tensor y)
    {
        if (LowRank is not { } part)
            return;
        using var narrow = Tensor.Empty(inputs.Rows, part.Rank);
        using var wide = Tensor.Empty(y.Shape);
        MatMul.Apply(inputs, part.Down, narrow);
        MatMul.Apply(narrow, part.Up, wide);
        Elementwise.AddInPlace(y, wide);
    }
}
