using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>W′ = W + α·W·mask(D·Uᵀ)·U, and what else is made of D.</summary>
static class WeightShift
{
    /// <summary>W·D·(H + λI)⁻¹ = ((W·D)·Uᵀ)·U, columns in their own order.</summary>
    public static Tensor Exact(Tensor weight, Tensor d, DampedHessian damped)
    {
        var product = Tensor.Empty(weight.Shape);
        using var other = Tensor.Empty(weight.Shape);
        MatMul.Multiply(weight, d, product);
        Reorder(product, other, damped.Order, Columns.Gather);
        MatMul.Apply(other, damped.U, product);
        MatMul.Multiply(product, damped.U, other);
        Reorder(other, product, damped.Order, Columns.Scatter);
        return product;
    }

    /// <summary>D·Uᵀ.</summary>
    public static Tensor Product(Tensor d, Tensor u)
    {
        var product = Tensor.Empty(d.Shape);
        MatMul.Apply(d, u, product);
        return product;
    }

    /// <summary>A·mask(product)·U, where the mask keeps what is right of the diagonal, or from it on. The product is consumed.</summary>
    public static Tensor Masked(Tensor? a, Tensor product, Tensor u, bool diagonal)
    {
        for (var row = 0; row < product.Rows; row++)
            product.Row(row)[..(diagonal ? row : row + 1)].Clear();
        var result = Tensor.Empty(product.Shape);
        MatMul.Multiply(product, u, result);
        product.Dispose();
        if (a is null)
            return result;
        var left = Tensor.Empty(a.Shape);
        MatMul.Multiply(a, result, left);
        result.Dispose();
        return left;
    }

    /// <summary>
    /// The α of each weight that is best where the shift was not fitted: Σ⟨W·D_b, Δ_a⟩ / Σ tr(Δ_a·H_b·Δ_aᵀ) with
    /// Δ_a = W·D_a·(H_a + λI)⁻¹, over both directions, from 0 to 1. Null where one fold has no tokens or cannot be inverted.
    /// </summary>
    public static double?[] CrossValidatedAlphas(IReadOnlyList<Tensor> weights, InputMoments inputs, CompensationOptions options)
    {
        var sums = new (double Numerator, double Denominator)[weights.Count];
        for (var fold = 0; fold < 2; fold++)
        {
            if (!inputs.Parts.Any(part => part.Fold == fold && part.Tokens > 0))
                return new double?[weights.Count];
            using var d = inputs.SumD(options, part => part.Fold == fold);
            using var otherD = inputs.SumD(options, part => part.Fold != fold);
            if (d is null || otherD is null)
                continue;
            using var damped = DampedHessian.Create(
                inputs.SumH(options, part => part.Fold == fold), options.Damping, actOrder: false);
            if (damped is null)
                return new double?[weights.Count];
            using var other = inputs.SumH(options, part => part.Fold != fold);
            for (var i = 0; i < sums.Length; i++)
            {
                using var weight = Tensors.Convert.ToF32(weights[i]);
                using var delta = Exact(weight, d, damped);
                using var product = Tensor.Empty(weight.Shape);
                MatMul.Multiply(weight, otherD, product);
                sums[i].Numerator += Inner(product, delta);
                MatMul.Multiply(delta, other, product);
                sums[i].Denominator += Inner(product, delta);
            }
        }
        return [.. sums.Select(sum => (double?)(double.IsFinite(sum.Numerator / sum.Denominator)
            ? Math.Clamp(sum.Numerator / sum.Denominator, 0, 1) : 0))];
    }

    /// <summary>Σ aᵢⱼ·bᵢⱼ.</summary>
    public static double Inner(Tensor a, Tensor b)
    {
        var sum = 0.0;
        for (var row = 0; row < a.Rows; row++)
            sum += TensorPrimitives.Dot<float>(a.Row(row), b.Row(row));
        return sum;
    }

    delegate void Move(ReadOnlySpan<float> row, ReadOnlySpan<int> order, Span<float> to);

    static void Reorder(Tensor from, Tensor to, int[] order, Move move)
    {
        for (var row = 0; row < from.Rows; row++)
            move(from.Row(row), order, to.Row(row));
    }
}
