using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models.Layers;

/// <summary>y = x·Wᵀ + b. Quantizing a model changes what this holds, never which layer it is.</summary>
public sealed class Linear(ILinearWeight weight, Tensor? bias)
{
    public ILinearWeight Weight => weight;

    /// <summary>[out] F32, or null.</summary>
    public Tensor? Bias => bias;

    public int Out => weight.Rows;

    public int In => weight.Columns;

    /// <summary>The gradient of the input.</summary>
    /// <param name="x">[T, in] F32: what went in.</param>
    /// <param name="dy">[T, out] F32.</param>
    /// <param name="sum">[T, in] that the result is added to, or null.</param>
    public Tensor Back(Tensor x, Tensor dy, Gradient gradient, Tensor? sum = null)
    {
        gradient.Observe(weight, x, dy);
        var dx = sum ?? Tensor.Empty(x.Shape);
        LinearGradient.Apply(dy, weight, dx, add: sum is not null);
        return dx;
    }

    /// <param name="x">[T, in] F32.</param>
    /// <returns>[T, out] F32.</returns>
    public Tensor Forward(Tensor x)
    {
        var y = Tensor.Empty(x.Rows, weight.Rows);
        weight.Multiply(x, y);
        if (bias is not null)
            for (var row = 0; row < y.Rows; row++)
                TensorPrimitives.Add(y.Row(row), bias.Span<float>(), y.Row(row));
        GC.KeepAlive(this); // a span does not keep native memory from being released
        GC.KeepAlive(x);
        return y;
    }
}
