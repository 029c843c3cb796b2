using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>What was found for one module, before it is packed.</summary>
sealed record CompensationSolution(
    Rounding Rounding, float TensorScale, double Alpha, double? Mu, double? Damping, IReadOnlyList<string> Notes);

/// <summary>The steps of a compensation on any grid, in F32.</summary>
sealed class CompensationSolver
{
    readonly LayerContext layer;
    readonly Grid grid;
    readonly CompensationOptions options;
    readonly List<string> notes = [];
    readonly Tensor original;

    CompensationSolver(LayerContext layer, Grid grid, CompensationOptions options)
    {
        (this.layer, this.grid) = (layer, grid);
        original = Tensors.Convert.ToF32(layer.Weight);
        var moments = layer.Inputs;
        if (!moments.HasBothModalities && (options.Weighting == HessianWeighting.Balanced || options.Search == ScaleSearch.Modality))
        {
            notes.Add("one modality only: nothing to balance");
            options = options with
            {
                Weighting = HessianWeighting.Joint,
                Search = options.Search == ScaleSearch.Modality ? ScaleSearch.Importance : options.Search,
            };
        }
        this.options = options;
    }

    public static CompensationSolution Solve(LayerContext layer, Grid grid, CompensationOptions options)
    {
        var solver = new CompensationSolver(layer, grid, options);
        using (solver.original)
            return solver.Solve();
    }

    CompensationSolution Solve()
    {
        var h = layer.Inputs.SumH(options.Weighting);
        if (layer.Inputs.Tokens == 0 || Enumerable.Range(0, h.Columns).All(j => h.Row(j)[j] == 0))
        {
            h.Dispose();
            notes.Add("no token reached it: rounded to nearest");
            return RoundToNearest(original, null, null);
        }
        using var damped = DampedHessian.Create(h, options.Damping, options.ActOrder);
        if (damped is null)
        {
            notes.Add("its second moments cannot be inverted with any damping: rounded to nearest");
            return RoundToNearest(original, null, null);
        }
        NoteInputs(damped);
        var importance = options.Search == ScaleSearch.Importance ? damped.Diagonal : null;
        if (!options.Compensate)
        {
            using var alive = original.Clone();
            ClearDead(alive, damped.Dead);
            return RoundToNearest(alive, importance, damped.Damping);
        }

        using var d = options.Shift == Shift.None ? null : layer.Inputs.SumD(options.Weighting);
        var alpha = d is null ? 0 : options.Alpha ?? Alpha();
        var running = alpha > 0 && options.Form != ShiftForm.Engine && options.Shift != Shift.Exact;
        using var target = Target(running || alpha == 0 ? null : d, damped, alpha);
        var fit = Fit(target);
        var (scales, mu) = Scales(target, fit, importance);
        var rounding = new Rounding(grid, target.Rows, target.Columns, scales);
        Loop(target, damped, running ? d : null, alpha, options.DynamicGroups ? fit : null, importance, rounding);
        if (options.Sweeps > 0)
        {
            using var values = Values(rounding, target);
            CoordinateDescent.Run(target, values, damped.H, rounding, options.Sweeps);
        }
        return new(rounding, fit.TensorScale, alpha, mu, damped.Damping, notes);
    }

    void NoteInputs(DampedHessian damped)
    {
        var dead = damped.Dead.Count(none => none);
        if (dead > 0)
            notes.Add($"{dead} of {damped.Dead.Length} inputs are always 0: their weights become 0");
        if (layer.Inputs.Tokens < damped.Dead.Length)
            notes.Add($"{layer.Inputs.Tokens} tokens for {damped.Dead.Length} inputs: the damping decides much");
        if (damped.Damping > options.Damping)
            notes.Add(FormattableString.Invariant($"damping raised from {options.Damping} to {damped.Damping:G3}"));
    }

    /// <summary>Cross-validated; without two folds by the tokens per input.</summary>
    double Alpha()
    {
        if (WeightShift.CrossValidatedAlpha(original, layer.Inputs, options) is { } alpha)
            return alpha;
        var perInput = (double)layer.Inputs.Tokens / original.Columns;
        var guess = perInput < 8 ? 0.25 : perInput < 30 ? 0.5 : 0.75;
        notes.Add(FormattableString.Invariant($"one fold only: α = {guess} for {perInput:F1} tokens per input"));
        return guess;
    }

    /// <summary>W′, without the weights of dead inputs.</summary>
    /// <param name="d">Null where nothing is shifted in advance.</param>
    Tensor Target(Tensor? d, DampedHessian damped, double alpha)
    {
        var target = original.Clone();
        if (options.Shift != Shift.Exact)
            ClearDead(target, damped.Dead);
        if (d is null)
        {
            ClearDead(target, damped.Dead);
            return target;
        }
        using var shift = options.Shift == Shift.Exact
            ? WeightShift.Exact(target, d, damped)
            : WeightShift.Masked(target, WeightShift.Product(d, damped.U), damped.U, options.Shift == Shift.VlmPtq);
        for (var row = 0; row < target.Rows; row++)
            TensorPrimitives.MultiplyAdd(shift.Row(row), (float)alpha, target.Row(row), target.Row(row));
        ClearDead(target, damped.Dead);
        return target;
    }

    ScaleFit Fit(Tensor target)
    {
        var amax = options.SharedAmax ?? WeightQuantizer.AbsMax(target, layer.Name);
        return new(grid, options.Search, grid.TensorScale(amax, options.Search != ScaleSearch.Standard));
    }

    (GroupScale[] Scales, double? Mu) Scales(Tensor target, ScaleFit fit, float[]? importance)
    {
        if (options.DynamicGroups)
            return (new GroupScale[target.Rows * (target.Columns / grid.GroupOf(target.Columns))], null);
        return options.Search == ScaleSearch.Modality
            ? ModalitySearch.Run(layer, original, target, grid, fit, options)
            : (fit.Rows(target, importance), null);
    }

    void Loop(Tensor target, DampedHessian damped, Tensor? d, double alpha, ScaleFit? fit, float[]? importance, Rounding rounding)
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

    Tensor Values(Rounding rounding, Tensor target)
    {
        var values = Tensor.Empty(target.Shape);
        Threads.For(values.Rows, 1, (start, end) =>
        {
            for (var row = start; row < end; row++)
                rounding.Values(row, values.Row(row));
        });
        return values;
    }

    CompensationSolution RoundToNearest(Tensor weight, float[]? importance, double? damping)
    {
        var search = options.Search is ScaleSearch.Importance or ScaleSearch.Modality && importance is null && damping is null
            ? ScaleSearch.Error : options.Search;
        var amax = options.SharedAmax ?? WeightQuantizer.AbsMax(weight, layer.Name);
        var fit = new ScaleFit(grid, search, grid.TensorScale(amax, search != ScaleSearch.Standard));
        double? mu = null;
        GroupScale[] scales;
        if (search == ScaleSearch.Modality)
            (scales, mu) = ModalitySearch.Run(layer, original, weight, grid, fit, options);
        else
            scales = fit.Rows(weight, importance);
        var rounding = new Rounding(grid, weight.Rows, weight.Columns, scales);
        rounding.Nearest(weight, null);
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
