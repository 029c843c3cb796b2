using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Runtime;

/// <summary>A quantized matrix as a layer holds it: decoded while it is multiplied with, the inputs rounded first.</summary>
/// <param name="activation">Null where inputs stay as they are.</param>
/// <param name="inputScale">What <see cref="ActivationFormat.Scale"/> gave; 1 for dynamic formats.</param>
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
            MultiplyRows(x, weight, y);
            return;
        }
        using var rounded = x.Clone();
        for (var row = 0; row < rounded.Rows; row++)
            activation.Round(rounded.Row(row), inputScale);
        MultiplyRows(rounded, weight, y);
    }

    static void MultiplyRows(Tensor x, IWeightRows w, Tensor y)
    {
        if (x.Columns != w.Columns || y.Columns != w.Rows || x.Rows != y.Rows)
            throw new ShapeException($"PackedWeight: x [T, {w.Columns}] and y [T, {w.Rows}] expected; got x = {x}, y = {y}.");
        var row = new float[w.Columns];
        for (var r = 0; r < w.Rows; r++)
        {
            w.Decode(r, 0, row);
            for (var t = 0; t < x.Rows; t++)
                y.Row(t)[r] = TensorPrimitives.Dot(x.Row(t), row);
        }
    }
}
