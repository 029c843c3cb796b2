namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>How the parts of the second moments are added.</summary>
public enum HessianWeighting
{
    /// <summary>Every token counts the same.</summary>
    Joint,

    /// <summary>Every modality counts for its share, however many tokens it has: <see cref="CompensationOptions.TextShare"/>.</summary>
    Balanced,
}

/// <summary>
/// Which part of the error that earlier modules left in the inputs is made up for: W′ = W + α·W·mask(D·Uᵀ)·U.
/// </summary>
public enum Shift
{
    /// <summary>None: GPTQ, arXiv:2210.17323.</summary>
    None,

    /// <summary>The mask is what lies above the diagonal: GPTAQ, arXiv:2504.02692, equation 16.</summary>
    Gptaq,

    /// <summary>The diagonal too: the correction C of VLM-PTQ, CVPR 2026.</summary>
    VlmPtq,

    /// <summary>All of it, which is W·D·(H + λI)⁻¹: the least squares solution.</summary>
    Exact,
}

/// <summary>What the masked shift is multiplied with. They are the same thing for <see cref="Shift.Exact"/> and for no shift.</summary>
public enum ShiftForm
{
    /// <summary>The original weights: W′ is computed first, then rounded like any weight.</summary>
    Engine,

    /// <summary>The running weights, as the papers write it.</summary>
    Running,

    /// <summary>As GPTAQ's code does: the running weight inside a block, its rounded value for what leaves the block.</summary>
    Code,
}

/// <summary>How the scales of groups are chosen. Rounding to nearest is what is judged in each case.</summary>
public enum ScaleSearch
{
    /// <summary>By the largest magnitudes.</summary>
    Standard,

    /// <summary>The least Σ|w − q|ᵖ, p being 2.4 on integer grids and 2 on float grids.</summary>
    Error,

    /// <summary>The least Σ h·(w − q)² with the input's own second moment h.</summary>
    Importance,

    /// <summary>The same with h = μ·h(vision) + (1 − μ)·h(text), and the μ of least output error: VLM-PTQ.</summary>
    Modality,
}

/// <summary>What a compensation is to do. The presets are the published methods and the best one known.</summary>
public sealed record CompensationOptions
{
    /// <summary>False rounds to nearest under the scales that were searched.</summary>
    public bool Compensate { get; init; } = true;

    public Shift Shift { get; init; }

    public ShiftForm Form { get; init; }

    /// <summary>
    /// How much of the shift is applied, 0 to 1; null for the α that is best on the fold it was not fitted on. α = 1 is best on the
    /// calibration data and often worse than 0 elsewhere.
    /// </summary>
    public double? Alpha { get; init; }

    /// <summary>
    /// Whether the cross-validated α, which suits a shift fitted on half of the tokens, is taken to what suits all of them: 2·α / (1 + α).
    /// With a signal S and noise N / T in a shift fitted on T tokens the best α is S / (S + N / T).
    /// </summary>
    public bool AlphaOfAllTokens { get; init; }

    /// <summary>What is added to the diagonal of H, as a share of its mean. Raised where H cannot be inverted.</summary>
    public double Damping { get; init; } = 0.01;

    public HessianWeighting Weighting { get; init; }

    /// <summary>What text counts for when modalities are balanced, 0 to 1; vision has the rest.</summary>
    public double TextShare { get; init; } = 0.5;

    public ScaleSearch Search { get; init; } = ScaleSearch.Error;

    /// <summary>
    /// Another search, from whose scales everything is rounded once more; every row of the weight keeps what leaves it less error,
    /// (Q − W′)·(H + λI)·(Q − W′)ᵀ. Null for none.
    /// </summary>
    public ScaleSearch? SecondSearch { get; init; }

    /// <summary>For <see cref="ScaleSearch.Modality"/>: h per token of its modality instead of per token of both.</summary>
    public bool MeanImportance { get; init; }

    /// <summary>For <see cref="ScaleSearch.Modality"/>: μ by the mean of the modalities' relative errors instead of the total error.</summary>
    public bool BalancedCriterion { get; init; }

    /// <summary>Inputs with the largest second moments first. The scales stay those of the original groups.</summary>
    public bool ActOrder { get; init; }

    /// <summary>Scales of a group are chosen when its first column is reached, on the weights as they are by then.</summary>
    public bool DynamicGroups { get; init; }

    /// <summary>Sweeps of coordinate descent after the loop.</summary>
    public int Sweeps { get; init; }

    /// <summary>
    /// After each sweep but the last the scale of every group becomes the one of least error for its codes, where scales are plain numbers.
    /// </summary>
    public bool Refit { get; init; }

    /// <summary>Columns between two updates of all that follow. The result depends on it for <see cref="ShiftForm.Code"/> only.</summary>
    public int Block { get; init; } = 128;

    /// <summary>
    /// The largest magnitude a scale of the whole matrix is made of, where fused modules must agree; null for the matrix' own.
    /// </summary>
    public float? SharedAmax { get; init; }

    /// <summary>arXiv:2210.17323 with scales of least error.</summary>
    public static CompensationOptions Gptq { get; } = new();

    /// <summary>arXiv:2504.02692 with the α of its code.</summary>
    public static CompensationOptions Gptaq { get; } = new() { Shift = Shift.Gptaq, Form = ShiftForm.Running, Alpha = 0.25 };

    /// <summary>VLM-PTQ, CVPR 2026: GPTAQ with the correction C and the modality-aware search.</summary>
    public static CompensationOptions VlmPtq { get; } =
        Gptaq with { Shift = Shift.VlmPtq, Search = ScaleSearch.Modality };

    /// <summary>
    /// The exact shift with cross-validated α, modalities balanced, inputs by importance, and four sweeps of coordinate descent with scales
    /// fitted again between them: once from scales weighted by second moments and once from those of least error. Five times the usual
    /// damping: on held-out inputs like those of the calibration it costs hardly anything, on inputs of another kind it takes away a seventh of
    /// the divergence at 3 bits and more than a third at 2 (perf/results/shapes-vlm-ablation.md).
    /// </summary>
    public static CompensationOptions Best { get; } = new()
    {
        Shift = Shift.Exact,
        AlphaOfAllTokens = true,
        Search = ScaleSearch.Importance,
        SecondSearch = ScaleSearch.Error,
        Weighting = HessianWeighting.Balanced,
        ActOrder = true,
        Damping = 0.05,
        Sweeps = 4,
        Refit = true,
    };

    /// <exception cref="QuantizationException">Options that exclude each other, or out of range.</exception>
    internal void Check(string layer)
    {
        var problem =
            Alpha is { } alpha && !(alpha is >= 0 and <= 1) ? $"α is 0 to 1, not {alpha}"
            : !(Damping >= 0 && double.IsFinite(Damping)) ? $"a damping of {Damping} is not possible"
            : !(TextShare is >= 0 and <= 1) ? $"the share of text is 0 to 1, not {TextShare}"
            : Sweeps is < 0 or > 100 ? $"0 to 100 sweeps are possible, not {Sweeps}"
            : Block < 1 ? $"a block has at least one column, not {Block}"
            : SharedAmax is { } amax && !(amax >= 0 && float.IsFinite(amax)) ? $"a largest magnitude cannot be {amax}"
            : ActOrder && (Shift is Shift.Gptaq or Shift.VlmPtq) ? "the masks of GPTAQ and VLM-PTQ need the columns in their own order"
            : DynamicGroups && (ActOrder || Search == ScaleSearch.Modality || !Compensate || Sweeps > 0)
                ? "dynamic groups exclude act-order, the modality search, coordinate descent and plain rounding"
            : SecondSearch is not null && (SecondSearch is not (ScaleSearch.Error or ScaleSearch.Importance)
                || Search is ScaleSearch.Standard || DynamicGroups || !Compensate)
                ? "a second search is by error or importance, after another than by largest magnitudes, and excludes dynamic groups and plain rounding"
            : null;
        if (problem is not null)
            throw new QuantizationException($"{layer}: {problem}");
    }
}
