using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>What modules with the same inputs have in common: factorizations, and the notes about the inputs.</summary>
sealed class SharedMoments : IDisposable
{
    /// <summary>Fewer tokens than one for so many inputs say nothing: an expert that hardly ever ran.</summary>
    const int LeastShare = 16;

    readonly List<string> notes = [];
    double?[] alphas = [];

    SharedMoments(CompensationOptions options) => Options = options;

    /// <summary>Those asked for, without what one modality alone makes meaningless.</summary>
    public CompensationOptions Options { get; private set; }

    public IReadOnlyList<string> Notes => notes;

    /// <summary>Null where nothing can be compensated: the notes say why.</summary>
    public DampedHessian? Damped { get; private set; }

    /// <summary>The sum of the parts' D; null where it is not needed or zero.</summary>
    public Tensor? D { get; private set; }

    /// <summary>The cross-validated α of the module at this place; null without two folds.</summary>
    public double? Alpha(int module) => alphas[module];

    public static SharedMoments Of(IReadOnlyList<LayerContext> layers, CompensationOptions options)
    {
        var shared = new SharedMoments(options);
        shared.Prepare(layers);
        return shared;
    }

    public void Dispose()
    {
        Damped?.Dispose();
        D?.Dispose();
    }

    void Prepare(IReadOnlyList<LayerContext> layers)
    {
        var inputs = layers[0].Inputs;
        DropModalities(inputs);
        alphas = new double?[layers.Count];
        if (inputs.Tokens > 0 && Options is { Compensate: true, Shift: not Shift.None, Alpha: null })
            alphas = WeightShift.CrossValidatedAlphas([.. layers.Select(layer => layer.Weight)], inputs, Options);

        var h = inputs.SumH(Options);
        if (inputs.Tokens == 0 || Enumerable.Range(0, h.Columns).All(j => h.Row(j)[j] == 0))
        {
            h.Dispose();
            notes.Add("no token reached it: rounded to nearest");
            return;
        }
        if (inputs.Tokens * LeastShare < h.Columns)
        {
            notes.Add($"{inputs.Tokens} tokens for {h.Columns} inputs are too few to learn from: rounded to nearest");
            h.Dispose();
            return;
        }
        Damped = DampedHessian.Create(h, Options.Damping, Options.ActOrder);
        if (Damped is null)
            notes.Add("its second moments cannot be inverted with any damping: rounded to nearest");
        else
            NoteInputs(Damped, inputs.Tokens);
        if (Damped is not null && Options is { Compensate: true, Shift: not Shift.None })
            D = inputs.SumD(Options);
    }

    void DropModalities(InputMoments inputs)
    {
        if (inputs.HasBothModalities || (Options.Weighting != HessianWeighting.Balanced && Options.Search != ScaleSearch.Modality))
            return;
        if (Options.Search == ScaleSearch.Modality)
            notes.Add("one modality only: scales weighted by all inputs alike");
        Options = Options with
        {
            Weighting = HessianWeighting.Joint,
            Search = Options.Search == ScaleSearch.Modality ? ScaleSearch.Importance : Options.Search,
        };
    }

    void NoteInputs(DampedHessian damped, long tokens)
    {
        var dead = damped.Dead.Count(none => none);
        if (dead > 0)
            notes.Add($"{dead} of {damped.Dead.Length} inputs are always 0: their weights become 0");
        if (tokens < damped.Dead.Length)
            notes.Add($"{tokens} tokens for {damped.Dead.Length} inputs: the damping decides much");
        if (damped.Damping > Options.Damping)
            notes.Add(FormattableString.Invariant($"damping raised from {Options.Damping} to {damped.Damping:G3}"));
    }
}
