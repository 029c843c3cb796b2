using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>
/// Lowers (Q − W′)·(H + λI)·(Q − W′)ᵀ one column at a time: t = Q_j − G_j / H_jj with G = (Q − W′)·(H + λI), then the nearest code. Blocks
/// of columns, rows in parallel. Between two sweeps the scale of a group may become the best one for its codes.
/// </summary>
static class CoordinateDescent
{
    const int Width = 128;

    /// <summary>A scale changes by half at most; more would mean that the codes are no good.</summary>
    internal const double LargestChange = 0.5;

    /// <param name="target">W′ [out, in]; consumed.</param>
    /// <param name="values">Q [out, in]: what the codes stand for; follows them.</param>
    /// <param name="refit">Whether scales change between sweeps.</param>
    public static void Run(Tensor target, Tensor values, Tensor h, Rounding rounding, int sweeps, bool refit)
    {
        var (rows, columns) = (target.Rows, target.Columns);
        using var gradient = Tensor.Empty(target.Shape);
        for (var row = 0; row < rows; row++)
            TensorPrimitives.Subtract(values.Row(row), target.Row(row), target.Row(row));
        MatMul.Multiply(target, h, gradient);
        using var changes = Tensor.Empty(rows, Width);
        for (var sweep = 0; sweep < sweeps; sweep++)
        {
            if (sweep > 0 && refit && rounding.FreeScales)
                Refit(values, gradient, h, rounding);
            for (var start = 0; start < columns; start += Width)
            {
                var (first, count) = (start, Math.Min(Width, columns - start));
                Threads.For(rows, 1, (from, to) =>
                {
                    for (var row = from; row < to; row++)
                        Row(values.Row(row), gradient.Row(row), row, first, count, h, changes.Row(row), rounding);
                });
                var change = new Block(changes, 0, 0, rows, count);
                Spread(change, h, gradient, start, start + count, columns - start - count);
                if (sweep < sweeps - 1)
                    Spread(change, h, gradient, start, 0, start);
            }
        }
    }

    /// <summary>
    /// s ← s·(1 − q·G_gᵀ / (q·H_gg·qᵀ)) group after group, q being what the codes of the group stand for: the least of a parabola.
    /// </summary>
    static void Refit(Tensor values, Tensor gradient, Tensor h, Rounding rounding)
    {
        var (rows, columns, group) = (values.Rows, values.Columns, rounding.Group);
        using var changes = Tensor.Empty(rows, group);
        for (var start = 0; start < columns; start += group)
        {
            var first = start;
            Threads.For(rows, 1, (from, to) =>
            {
                var curvature = new float[group];
                for (var row = from; row < to; row++)
                {
                    var numbers = values.Row(row).Slice(first, group);
                    for (var j = 0; j < group; j++)
                        curvature[j] = TensorPrimitives.Dot(h.Row(first + j).Slice(first, group), numbers);
                    ref var scale = ref rounding.ScaleOf(row, first);
                    var share = -TensorPrimitives.Dot(numbers, gradient.Row(row).Slice(first, group))
                        / TensorPrimitives.Dot<float>(numbers, curvature);
                    var fitted = Math.Abs(share) <= LargestChange ? scale with { Scale = scale.Scale * (1 + share) } : scale;
                    TensorPrimitives.Multiply(numbers, fitted.Scale / scale.Scale - 1, changes.Row(row));
                    scale = fitted;
                    TensorPrimitives.Add(numbers, changes.Row(row), numbers);
                }
            });
            Spread(new Block(changes, 0, 0, rows, group), h, gradient, start, 0, columns);
        }
    }

    static void Row(Span<float> values, Span<float> gradient, int row, int first, int count, Tensor h, Span<float> changes, Rounding rounding)
    {
        for (var j = first; j < first + count; j++)
        {
            var moments = h.Row(j);
            var value = rounding.Put(row, j, values[j] - gradient[j] / moments[j]);
            var change = value - values[j];
            changes[j - first] = change;
            if (change == 0)
                continue;
            values[j] = value;
            var inside = gradient.Slice(first, count);
            TensorPrimitives.MultiplyAdd(moments.Slice(first, count), change, inside, inside);
        }
    }

    /// <summary>What the changes of a block do to the gradient of other columns.</summary>
    static void Spread(Block change, Tensor h, Tensor gradient, int start, int column, int columns)
    {
        if (columns > 0)
            BlockProduct.Add(change, new Block(h, start, column, change.Columns, columns),
                new Block(gradient, 0, column, change.Rows, columns));
    }
}
