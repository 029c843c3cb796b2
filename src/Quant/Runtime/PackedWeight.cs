using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Runtime;

/// <summary>A quantized matrix as a layer holds it: decoded while it is multiplied with, the inputs rounded first.</summary>
/// <param name="activation">Null where inputs stay as they are.</param>
/// <param name="inputScale">What <see cref="ActivationFormat.Scale"/> gave; 1 for dynamic formats.</param>
/// <exception cref="QuantizationException">The input scale is not a positive finite number.</exception>
public sealed class PackedWeight(QuantizedWeight weight, ActivationFormat? activation = null, float inputScale = 1)
    : ILinearWeight
{
    readonly float inputScale = inputScale > 0 && float.IsFinite(inputScale)
        ? inputScale
        : throw new QuantizationException($"an input scale cannot be {inputScale}");

    public QuantizedWeight Weight => weight;

    public ActivationFormat? Activation => activation;

    public int Rows => weight.Rows;

    public int Columns => weight.Columns;

    public long Bytes => weight.Bytes;

    public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

    public void Multiply(Tensor x, Tensor y)
    {
        if (activation is null)
        {
            MatMul.Apply(x, weight, y);
            return;
        }
        using var rounded = x.Clone();
        for (var row = 0; row < rounded.Rows; row++)
            activation.Round(rounded.Row(row), inputScale);
        MatMul.Apply(rounded, weight, y);
    }
}
