using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>
/// GPTQ's loop (arXiv:2210.17323, algorithm 1) in blocks of columns: inside a block one row after another, rows in parallel; what
/// leaves the block is a matrix product.
/// </summary>
/// <param name="damped">U, and the order of the columns.</param>
/// <param name="p">α·triu(D·Uᵀ, 1)·U for the running forms, else null.</param>
/// <param name="correction">α·diag(D·Uᵀ)∘diag(U): the C of VLM-PTQ; null where there is none.</param>
/// <param name="fit">Searches scales when a group is reached; null for scales that are given.</param>
sealed class ColumnLoop(
    DampedHessian damped, Tensor? p, float[]? correction, bool quantizedLeaves, ScaleFit? fit, float[]? importance, int block)
{
    readonly Tensor u = damped.U;

    /// <param name="weight">[out, in] with the columns in the order of U; consumed.</param>
    public void Run(Tensor weight, Rounding rounding)
    {
        var (rows, columns) = (weight.Rows, weight.Columns);
        var width = Math.Min(fit is null ? block : WholeGroups(rounding.Group), columns);
        using var errors = Tensor.Empty(rows, width);
        using var multiplied = p is null ? null : Tensor.Empty(rows, width);
        for (var start = 0; start < columns; start += width)
        {
            var (first, count) = (start, Math.Min(width, columns - start));
            Threads.For(rows, 1, (from, to) =>
            {
                var buffer = new float[fit is null ? 0 : rounding.Group];
                for (var row = from; row < to; row++)
                    Row(weight.Row(row), row, first, count, errors.Row(row), multiplied is null ? [] : multiplied.Row(row),
                        rounding, buffer);
            });
            var rest = columns - start - count;
            if (rest == 0)
                break;
            var target = new Block(weight, 0, start + count, rows, rest);
            BlockProduct.Add(new Block(errors, 0, 0, rows, count), new Block(u, start, start + count, count, rest), target);
            if (p is not null)
                BlockProduct.Add(
                    new Block(multiplied!, 0, 0, rows, count), new Block(p, start, start + count, count, rest), target);
        }
    }

    /// <summary>One row of a block: q = Q(t), e = (w − q) / U_jj, w_k −= e·U_jk, w_k += w_j·P_jk.</summary>
    /// <param name="errors">−e of each column, for the product.</param>
    /// <param name="multiplied">What P is multiplied with beyond the block.</param>
    void Row(Span<float> w, int row, int first, int count, Span<float> errors, Span<float> multiplied, Rounding rounding, float[] buffer)
    {
        for (var j = first; j < first + count; j++)
        {
            if (fit is not null && j % rounding.Group == 0)
                rounding.ScaleOf(row, j) = fit.Group(w.Slice(j, rounding.Group),
                    importance is null ? [] : importance.AsSpan(j, rounding.Group), buffer);
            var weight = w[j];
            var wanted = correction is null ? weight : weight * (1.0 + correction[j]);
            var value = rounding.Put(row, damped.Order[j], wanted);
            var error = (value - weight) / u.Row(j)[j];
            errors[j - first] = error;

            var after = first + count - j - 1;
            var rest = w.Slice(j + 1, after);
            TensorPrimitives.MultiplyAdd(u.Row(j).Slice(j + 1, after), error, rest, rest);
            if (p is null)
                continue;
            multiplied[j - first] = quantizedLeaves ? value : weight;
            TensorPrimitives.MultiplyAdd(p.Row(j).Slice(j + 1, after), weight, rest, rest);
        }
    }

    /// <summary>A block must hold all updates of a group whose scale is chosen inside it.</summary>
    int WholeGroups(int group) => group >= block ? group : block / group * group;
}
