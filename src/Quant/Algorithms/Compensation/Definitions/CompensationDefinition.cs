using Nibble.Quant.Calibration;

namespace Nibble.Quant.Algorithms.Compensation.Definitions;

/// <summary><see cref="MomentPart"/> in double.</summary>
sealed record DefinedPart(Modality Modality, int Fold, Matrix H, Matrix D, int Tokens, double OutputEnergy);

/// <summary><see cref="LayerContext"/> in double.</summary>
sealed record DefinedLayer(Matrix Weight, IReadOnlyList<DefinedPart> Parts);

/// <summary>What the definition gives for a layer.</summary>
sealed record DefinedResult(Matrix Codes, Matrix Values, GroupScale[] Scales, float TensorScale)
{
    public double Alpha { get; init; }

    public double? Mu { get; init; }

    /// <summary>(Q − W′)(H + λI)(Q − W′)ᵀ after each sweep.</summary>
    public List<double> Objective { get; } = [];
}

/// <summary>
/// The whole family in double, column by column: what <see cref="Compensation"/> computes in blocks of F32. Never optimised.
/// </summary>
sealed class CompensationDefinition(DefinedLayer layer, Grid grid, CompensationOptions options)
{
    readonly int rows = layer.Weight.Rows, columns = layer.Weight.Columns;

    int Group => grid.GroupOf(columns);

    public DefinedResult Quantize()
    {
        var (h, d) = Moments(_ => true);
        var damped = Damped(h, options.Damping, out var dead);
        var importance = Matrix.Create(1, columns, (_, j) => damped[j, j]);
        var alpha = options.Shift == Shift.None ? 0 : options.Alpha ?? CrossValidatedAlpha();
        var u = options.Compensate ? damped.InverseFactor() : damped;
        var original = WithoutDead(layer.Weight, dead);
        var engine = options.Shift is Shift.None or Shift.Exact || options.Form == ShiftForm.Engine;
        var target = engine && alpha > 0 ? WithoutDead(Shifted(d, u, original, alpha), dead) : original;

        var amax = options.SharedAmax ?? Amax(target);
        var tensorScale = grid.TensorScale(amax, options.Search != ScaleSearch.Standard);
        double? mu = null;
        var scales = options.Search == ScaleSearch.Modality
            ? SearchModality(target, tensorScale, out mu)
            : Fit(target, tensorScale, options.Search == ScaleSearch.Importance ? importance.Row(0) : []);
        var result = new DefinedResult(new(rows, columns), new(rows, columns), scales, tensorScale) { Alpha = alpha, Mu = mu };
        if (!options.Compensate)
            return RoundToNearest(target, result);

        var order = Enumerable.Range(0, columns).ToArray();
        if (options.ActOrder)
        {
            order = [.. order.OrderByDescending(j => damped[j, j])];
            u = damped.Permuted(order).InverseFactor();
        }
        Loop(target, u, engine ? null : d, alpha, order, importance, result);
        for (var sweep = 0; sweep < options.Sweeps; sweep++)
        {
            if (sweep > 0 && options.Refit && grid.FreeScales)
                Refit(target, damped, result);
            Sweep(target, damped, result);
        }
        if (options.SecondSearch is { } second)
            KeepBetter(target, damped, result,
                new CompensationDefinition(layer, grid, options with { Search = second, SecondSearch = null }).Quantize());
        return result;
    }

    /// <summary>Every row of the first becomes that of the second where this has less (Q − W′)(H + λI)(Q − W′)ᵀ.</summary>
    void KeepBetter(Matrix target, Matrix h, DefinedResult first, DefinedResult second)
    {
        for (var i = 0; i < rows; i++)
        {
            if (!(Error(second, i) < Error(first, i)))
                continue;
            second.Codes.Row(i).CopyTo(first.Codes.Row(i));
            second.Values.Row(i).CopyTo(first.Values.Row(i));
            second.Scales.AsSpan(i * (columns / Group), columns / Group).CopyTo(first.Scales.AsSpan(i * (columns / Group)));
        }

        double Error(DefinedResult result, int row)
        {
            var error = 0.0;
            for (var j = 0; j < columns; j++)
                for (var k = 0; k < columns; k++)
                    error += (result.Values[row, j] - target[row, j]) * h[j, k] * (result.Values[row, k] - target[row, k]);
            return error;
        }
    }

    (Matrix H, Matrix D) Moments(Func<DefinedPart, bool> where)
    {
        var (h, d) = (new Matrix(columns, columns), new Matrix(columns, columns));
        var tokens = layer.Parts.Sum(part => part.Tokens);
        foreach (var part in layer.Parts.Where(where))
        {
            var own = layer.Parts.Where(other => other.Modality == part.Modality).Sum(other => other.Tokens);
            var share = part.Modality == Modality.Text ? options.TextShare : 1 - options.TextShare;
            var weight = options.Weighting == HessianWeighting.Balanced ? share * tokens / own : 1;
            (h, d) = (h + weight * part.H, d + weight * part.D);
        }
        return (h, d);
    }

    static Matrix Damped(Matrix h, double damping, out bool[] dead)
    {
        var (damped, none) = (h.Clone(), new bool[h.Rows]);
        for (var j = 0; j < h.Rows; j++)
            if (none[j] = h[j, j] == 0)
                damped[j, j] = 1;
        var mean = 0.0;
        for (var j = 0; j < h.Rows; j++)
            mean += damped[j, j] / h.Rows;
        for (var j = 0; j < h.Rows; j++)
            damped[j, j] += damping * mean;
        dead = none;
        return damped;
    }

    static Matrix WithoutDead(Matrix weight, bool[] dead) =>
        Matrix.Create(weight.Rows, weight.Columns, (i, j) => dead[j] ? 0 : weight[i, j]);

    /// <summary>
    /// α = Σ⟨W·D_b, Δ_a⟩ / Σ tr(Δ_a·H_b·Δ_aᵀ) with Δ_a = W·D_a·(H_a + λI)⁻¹, over both directions, from 0 to 1; for all tokens
    /// 2·α / (1 + α).
    /// </summary>
    double CrossValidatedAlpha()
    {
        double numerator = 0, denominator = 0;
        foreach (var fold in (int[])[0, 1])
        {
            var (h, d) = Moments(part => part.Fold == fold);
            var (other, otherD) = Moments(part => part.Fold != fold);
            var u = Damped(h, options.Damping, out _).InverseFactor();
            var delta = layer.Weight * d * u.Transpose() * u;
            numerator += Matrix.Inner(layer.Weight * otherD, delta);
            denominator += Matrix.Inner(delta * other, delta);
        }
        var alpha = Math.Clamp(numerator / Math.Max(denominator, 1e-30), 0, 1);
        return options.AlphaOfAllTokens ? 2 * alpha / (1 + alpha) : alpha;
    }

    /// <summary>W′ = W + α·W·mask(D·Uᵀ)·U; without a mask, of the weights of dead inputs too.</summary>
    Matrix Shifted(Matrix d, Matrix u, Matrix original, double alpha)
    {
        if (options.Shift == Shift.Exact)
            return layer.Weight + alpha * (layer.Weight * d * u.Transpose() * u);
        return original + alpha * (original * Masked(d * u.Transpose(), options.Shift == Shift.VlmPtq ? 0 : 1) * u);
    }

    static Matrix Masked(Matrix a, int diagonal) => Matrix.Create(a.Rows, a.Columns, (i, j) => j - i >= diagonal ? a[i, j] : 0);

    double Amax(Matrix weight)
    {
        var amax = 0.0;
        for (var i = 0; i < rows; i++)
            foreach (var value in weight.Row(i))
                amax = Math.Max(amax, Math.Abs(value));
        return amax;
    }

    GroupScale[] Fit(Matrix weight, float tensorScale, ReadOnlySpan<double> importance)
    {
        var groups = columns / Group;
        var scales = new GroupScale[rows * groups];
        for (var i = 0; i < rows; i++)
            for (var g = 0; g < groups; g++)
                scales[i * groups + g] = FitGroup(weight.Row(i).Slice(g * Group, Group), tensorScale,
                    importance.IsEmpty ? importance : importance.Slice(g * Group, Group));
        return scales;
    }

    /// <summary>The first of the candidates with the least Σ h·|w − q|ᵖ.</summary>
    GroupScale FitGroup(ReadOnlySpan<double> weights, float tensorScale, ReadOnlySpan<double> importance)
    {
        var range = new WeightRange(0, 0);
        foreach (var weight in weights)
            range = new(Math.Min(range.Low, weight), Math.Max(range.High, weight));
        var best = grid.Standard(range, tensorScale);
        if (options.Search == ScaleSearch.Standard)
            return best;
        var power = importance.IsEmpty ? grid.SearchPower : 2;
        var least = double.PositiveInfinity;
        for (var index = 0; index < grid.Candidates; index++)
        {
            var candidate = grid.Candidate(range, tensorScale, index);
            var error = 0.0;
            for (var j = 0; j < weights.Length && error < least; j++)
            {
                var difference = Math.Abs(grid.Value(grid.Code(weights[j], candidate), candidate) - weights[j]);
                error += (power == 2 ? difference * difference : Math.Pow(difference, power)) * (importance.IsEmpty ? 1 : importance[j]);
            }
            if (error < least)
                (best, least) = (candidate, error);
        }
        return best;
    }

    /// <summary>
    /// μ of 0, 0.2, … 1 with the least error of round to nearest; the error of a modality is tr(E·H·Eᵀ) − 2·tr(W·D·Eᵀ) and what does not
    /// depend on E = Q − W.
    /// </summary>
    GroupScale[] SearchModality(Matrix target, float tensorScale, out double? mu)
    {
        var tokens = layer.Parts.Sum(part => part.Tokens);
        var modalities = layer.Parts.GroupBy(part => part.Modality).ToDictionary(parts => parts.Key, parts => (
            H: parts.Select(part => part.H).Aggregate((a, b) => a + b),
            D: parts.Select(part => part.D).Aggregate((a, b) => a + b),
            Share: parts.Sum(part => part.Tokens) / (double)tokens,
            OutputEnergy: parts.Sum(part => part.OutputEnergy)));
        var (vision, text) = (modalities[Modality.Vision], modalities[Modality.Text]);
        var (best, least) = (Array.Empty<GroupScale>(), double.PositiveInfinity);
        mu = null;
        for (var step = 0; step <= 5; step++)
        {
            var share = step / 5.0;
            var importance = Matrix.Create(1, columns, (_, j) =>
                share * vision.H[j, j] / (options.MeanImportance ? vision.Share : 1)
                + (1 - share) * text.H[j, j] / (options.MeanImportance ? text.Share : 1));
            var scales = Fit(target, tensorScale, importance.Row(0));
            var rounded = RoundToNearest(target, new(new(rows, columns), new(rows, columns), scales, tensorScale)).Values;
            var difference = rounded - layer.Weight;
            var error = modalities.Values.Sum(part =>
                (Matrix.Inner(difference * part.H, difference) - 2 * Matrix.Inner(layer.Weight * part.D, difference))
                / (options.BalancedCriterion ? part.OutputEnergy : 1));
            if (error < least)
                (best, mu, least) = (scales, share, error);
        }
        return best;
    }

    DefinedResult RoundToNearest(Matrix target, DefinedResult result)
    {
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
                Put(result, i, j, target[i, j]);
        return result;
    }

    void Put(DefinedResult result, int row, int column, double value)
    {
        ref var scale = ref result.Scales[row * (columns / Group) + column / Group];
        var code = grid.Code(value, scale);
        (result.Codes[row, column], result.Values[row, column]) = (code, grid.Value(code, scale));
    }

    /// <summary>q = Q(t), e = (w − q) / U_jj, w_k −= e·U_jk and, for the running forms, w_k += w_j·P_jk.</summary>
    void Loop(Matrix target, Matrix u, Matrix? d, double alpha, int[] order, Matrix importance, DefinedResult result)
    {
        var w = Matrix.Create(rows, columns, (i, j) => target[i, order[j]]);
        var product = d is null ? null : d * u.Transpose();
        var p = product is null ? null : alpha * (Masked(product, 1) * u);
        for (var i = 0; i < rows; i++)
        {
            var row = w.Row(i);
            for (var j = 0; j < columns; j++)
            {
                if (options.DynamicGroups && j % Group == 0)
                    result.Scales[i * (columns / Group) + j / Group] = FitGroup(row.Slice(j, Group), result.TensorScale,
                        options.Search == ScaleSearch.Importance ? importance.Row(0).Slice(j, Group) : []);

                var correction = options.Shift == Shift.VlmPtq && product is not null ? alpha * product[j, j] * u[j, j] : 0;
                Put(result, i, order[j], row[j] * (1 + correction));
                var value = result.Values[i, order[j]];
                var error = (row[j] - value) / u[j, j];
                var blockEnd = (j / options.Block + 1) * options.Block;
                for (var k = j + 1; k < columns; k++)
                {
                    row[k] -= error * u[j, k];
                    if (p is not null)
                        row[k] += (options.Form == ShiftForm.Code && k >= blockEnd ? value : row[j]) * p[j, k];
                }
            }
        }
    }

    /// <summary>Each column in turn becomes the nearest to its best value with all others fixed: t = Q_j − G_j / H_jj, G = (Q − W′)·H.</summary>
    void Sweep(Matrix target, Matrix h, DefinedResult result)
    {
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
            {
                var gradient = 0.0;
                for (var k = 0; k < columns; k++)
                    gradient += (result.Values[i, k] - target[i, k]) * h[k, j];
                Put(result, i, j, result.Values[i, j] - gradient / h[j, j]);
            }
        var difference = result.Values - target;
        result.Objective.Add(Matrix.Inner(difference * h, difference));
    }

    /// <summary>Every scale becomes the one of least error for the codes it has, one group after the other.</summary>
    void Refit(Matrix target, Matrix h, DefinedResult result)
    {
        for (var i = 0; i < rows; i++)
            for (var start = 0; start < columns; start += Group)
            {
                double slope = 0, curvature = 0;
                for (var j = start; j < start + Group; j++)
                {
                    for (var k = 0; k < columns; k++)
                        slope += result.Values[i, j] * h[j, k] * (result.Values[i, k] - target[i, k]);
                    for (var k = start; k < start + Group; k++)
                        curvature += result.Values[i, j] * h[j, k] * result.Values[i, k];
                }
                ref var scale = ref result.Scales[(i * columns + start) / Group];
                if (!(Math.Abs(slope / curvature) <= CoordinateDescent.LargestChange))
                    continue;
                var fitted = (float)(scale.Scale * (1 - slope / curvature));
                for (var j = start; j < start + Group; j++)
                    result.Values[i, j] *= (double)fitted / scale.Scale;
                scale = scale with { Scale = fitted };
            }
    }
}
