using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>
/// Moving magnitude between inputs and weights: (x·p)·(W / p)ᵀ = x·Wᵀ for any p &gt; 0 per input channel. p is what checkpoints
/// call <c>pre_quant_scale</c>.
/// </summary>
public static class ChannelScaling
{
    /// <summary>W[:, c] · factors[c], in F32.</summary>
    /// <param name="weight">[out, in] of any float type.</param>
    /// <exception cref="QuantizationException">As many factors as inputs are expected.</exception>
    public static Tensor Multiply(Tensor weight, ReadOnlySpan<float> factors)
    {
        var matrix = Matrix(weight, factors.Length);
        var result = Tensor.Empty(matrix.Shape);
        for (var row = 0; row < matrix.Rows; row++)
            TensorPrimitives.Multiply(matrix.Row(row), factors, result.Row(row));
        return result;
    }

    /// <summary>
    /// W[:, c] · (1 / factors[c]) in F32. The reciprocal is rounded first, as ModelOpt does it: weights of half their row's
    /// largest are ties of an integer grid, which the last bit decides.
    /// </summary>
    /// <inheritdoc cref="Multiply"/>
    public static Tensor Divide(Tensor weight, ReadOnlySpan<float> factors)
    {
        var reciprocals = new float[factors.Length];
        TensorPrimitives.Divide(1f, factors, reciprocals);
        return Multiply(weight, reciprocals);
    }

    /// <summary>max over c of amax[c] · preQuantScale[c]: the largest scaled input.</summary>
    public static float InputAmax(ReadOnlySpan<float> amax, ReadOnlySpan<float> preQuantScale)
    {
        var largest = 0f;
        for (var c = 0; c < amax.Length; c++)
            largest = Math.Max(largest, amax[c] * preQuantScale[c]);
        return largest;
    }

    /// <summary>A matrix as F32; the same tensor where it is already.</summary>
    internal static Tensor Matrix(Tensor weight, int inputs, string what = "weight")
    {
        if (weight.Shape.Rank != 2 || weight.Columns != inputs)
            throw new QuantizationException($"{what}: a matrix [out, {inputs}] expected, found {weight}");
        var matrix = weight.DType == DType.F32 ? weight : Tensors.Convert.ToF32(weight);
        WeightQuantizer.AbsMax(matrix, what); // refuses NaN and infinities
        return matrix;
    }
}
