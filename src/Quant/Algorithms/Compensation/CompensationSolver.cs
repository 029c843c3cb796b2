using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>What was found for one module, before it is packed.</summary>
sealed record CompensationSolution(
    Rounding Rounding, float TensorScale, double Alpha, double? Mu, double? Damping, IReadOnlyList<string> Notes);

/// <summary>The steps of a compensation of one module on any grid, in F32.</summary>
sealed class CompensationSolver : IDisposable
{
    readonly LayerContext layer;
    readonly Grid grid;
    readonly CompensationOptions options;
    readonly SharedMoments shared;
    readonly List<string> notes;
    readonly Tensor original, target;
    readonly double alpha;

    /// <param name="module">The place of the layer among those that share moments.</param>
    public CompensationSolver(LayerContext layer, Grid grid, SharedMoments shared, int module)
    {
        (this.layer, this.grid, this.shared, options) = (layer, grid, shared, shared.Options);
        notes = [.. shared.Notes];
        original = Tensors.Convert.ToF32(layer.Weight);
        alpha = shared.D is null ? 0 : options.Alpha ?? Alpha(module);
        target = shared.Damped is { } damped ? Target(Runs || alpha == 0 ? null : shared.D, damped) : original;
    }

    /// <summary>A module that shares its inputs with no other.</summary>
    public static CompensationSolution Solve(LayerContext layer, Grid grid, CompensationOptions options)
    {
        using var shared = SharedMoments.Of([layer], options);
        using var solver = new CompensationSolver(layer, grid, shared, 0);
        return solver.Solve(options.SharedAmax);
    }

    /// <summary>The largest magnitude of what is to be rounded.</summary>
    public float Amax => WeightQuantizer.AbsMax(target, layer.Name);

    /// <param name="amax">What a scale of the whole matrix is made of; null for <see cref="Amax"/>.</param>
    public CompensationSolution Solve(float? amax)
    {
        if (shared.Damped is not { } damped)
            return RoundToNearest(null, null, amax);
        if (!options.Compensate)
            return RoundToNearest(options.Search == ScaleSearch.Importance ? damped.Diagonal : null, damped.Damping, amax);

        var fit = Fit(options.Search, amax);
        var (rounding, mu) = Compensated(damped, fit, options.Search);
        if (options.SecondSearch is { } second)
            KeepBetter(damped, rounding, Compensated(damped, Fit(second, amax), second).Rounding);
        return new(rounding, fit.TensorScale, alpha, mu, damped.Damping, notes);
    }

    (Rounding Rounding, double? Mu) Compensated(DampedHessian damped, ScaleFit fit, ScaleSearch search)
    {
        var importance = search == ScaleSearch.Importance ? damped.Diagonal : null;
        var (scales, mu) = Scales(fit, importance, search);
        var rounding = new Rounding(grid, target.Rows, target.Columns, scales);
        Loop(damped, Runs ? shared.D : null, options.DynamicGroups ? fit : null, importance, rounding);
        if (options.Sweeps > 0)
        {
            using var wanted = target.Clone();
            using var values = Values(rounding);
            CoordinateDescent.Run(wanted, values, damped.H, rounding, options.Sweeps, options.Refit);
        }
        return (rounding, mu);
    }

    /// <summary>Every row of the first becomes that of the second where this leaves less error.</summary>
    void KeepBetter(DampedHessian damped, Rounding first, Rounding second)
    {
        var (errors, others) = (RowErrors(damped, first), RowErrors(damped, second));
        for (var row = 0; row < target.Rows; row++)
            if (others[row] < errors[row])
                first.TakeRow(row, second);
    }

    /// <summary>(Q − W′)·(H + λI)·(Q − W′)ᵀ of every row.</summary>
    float[] RowErrors(DampedHessian damped, Rounding rounding)
    {
        using var difference = Values(rounding);
        using var product = Tensor.Empty(target.Shape);
        for (var row = 0; row < difference.Rows; row++)
            TensorPrimitives.Subtract(difference.Row(row), target.Row(row), difference.Row(row));
        MatMul.Multiply(difference, damped.H, product);
        return [.. Enumerable.Range(0, difference.Rows).Select(row => TensorPrimitives.Dot<float>(difference.Row(row), product.Row(row)))];
    }

    public void Dispose()
    {
        original.Dispose();
        target.Dispose();
    }

    /// <summary>Whether the shift is made while columns are rounded, not in advance.</summary>
    bool Runs => alpha > 0 && options.Form != ShiftForm.Engine && options.Shift != Shift.Exact;

    /// <summary>Cross-validated; without two folds by the tokens per input.</summary>
    double Alpha(int module)
    {
        if (shared.Alpha(module) is { } alpha)
            return options.AlphaOfAllTokens ? 2 * alpha / (1 + alpha) : alpha;
        var perInput = (double)layer.Inputs.Tokens / original.Columns;
        var guess = perInput < 8 ? 0.25 : perInput < 30 ? 0.5 : 0.75;
        notes.Add(FormattableString.Invariant($"one fold only: α = {guess} for {perInput:F1} tokens per input"));
        return guess;
    }

    /// <summary>W′, without the weights of dead inputs.</summary>
    /// <param name="d">Null where nothing is shifted in advance.</param>
    Tensor Target(Tensor? d, DampedHessian damped)
    {
        var shifted = original.Clone();
        if (options.Shift != Shift.Exact)
            ClearDead(shifted, damped.Dead);
        if (d is null)
        {
            ClearDead(shifted, damped.Dead);
            return shifted;
        }
        using var shift = options.Shift == Shift.Exact
            ? WeightShift.Exact(shifted, d, damped)
            : WeightShift.Masked(shifted, WeightShift.Product(d, damped.U), damped.U, options.Shift == Shift.VlmPtq);
        for (var row = 0; row < shifted.Rows; row++)
            TensorPrimitives.MultiplyAdd(shift.Row(row), (float)alpha, shifted.Row(row), shifted.Row(row));
        ClearDead(shifted, damped.Dead);
        return shifted;
    }

    ScaleFit Fit(ScaleSearch search, float? amax) => new(grid, search, grid.TensorScale(amax ?? Amax, search != ScaleSearch.Standard));

    (GroupScale[] Scales, double? Mu) Scales(ScaleFit fit, float[]? importance, ScaleSearch search)
    {
        if (options.DynamicGroups)
            return (new GroupScale[target.Rows * (target.Columns / grid.GroupOf(target.Columns))], null);
        return search == ScaleSearch.Modality
            ? ModalitySearch.Run(layer, original, target, grid, fit, options)
            : (fit.Rows(target, importance), null);
    }

    void Loop(DampedHessian damped, Tensor? d, ScaleFit? fit, float[]? importance, Rounding rounding)
    {
        using var product = d is null ? null : WeightShift.Product(d, damped.U);
        var correction = product is null || options.Shift != Shift.VlmPtq ? null : Enumerable.Range(0, target.Columns)
            .Select(j => (float)(alpha * product.Row(j)[j] * damped.U.Row(j)[j])).ToArray();
        using var p = product is null ? null : WeightShift.Masked(null, product, damped.U, diagonal: false);
        for (var row = 0; row < p?.Rows; row++)
            TensorPrimitives.Multiply(p.Row(row), (float)alpha, p.Row(row));

        using var weight = Tensor.Empty(target.Shape);
        for (var row = 0; row < target.Rows; row++)
            Columns.Gather(target.Row(row), damped.Order, weight.Row(row));
        new ColumnLoop(damped, p, correction, options.Form == ShiftForm.Code, fit, importance, options.Block).Run(weight, rounding);
    }

    Tensor Values(Rounding rounding)
    {
        var values = Tensor.Empty(target.Shape);
        Threads.For(values.Rows, 1, (start, end) =>
        {
            for (var row = start; row < end; row++)
                rounding.Values(row, values.Row(row));
        });
        return values;
    }

    CompensationSolution RoundToNearest(float[]? importance, double? damping, float? amax)
    {
        var search = options.Search is ScaleSearch.Importance or ScaleSearch.Modality && importance is null && damping is null
            ? ScaleSearch.Error : options.Search;
        var fit = Fit(search, amax);
        double? mu = null;
        GroupScale[] scales;
        if (search == ScaleSearch.Modality)
            (scales, mu) = ModalitySearch.Run(layer, original, target, grid, fit, options);
        else
            scales = fit.Rows(target, importance);
        var rounding = new Rounding(grid, target.Rows, target.Columns, scales);
        rounding.Nearest(target, null);
        return new(rounding, fit.TensorScale, 0, mu, damping, notes);
    }

    static void ClearDead(Tensor weight, bool[] dead)
    {
        for (var column = 0; column < dead.Length; column++)
            if (dead[column])
                for (var row = 0; row < weight.Rows; row++)
                    weight.Row(row)[column] = 0;
    }
}
