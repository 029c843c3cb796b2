using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Search;

/// <summary>
/// ModelOpt's gradient score of a group and a scheme: Σ (∂loss/∂y · (y_q - y))² over all outputs of its modules, y_q being computed with
/// rounded weights and inputs. The loss is the mean cross entropy of the next token over a batch, scores are summed over batches. It is
/// the diagonal of the empirical Fisher matrix applied to the errors of the outputs.
/// </summary>
/// <remarks>
/// Stages are gone through from the last one back, each loaded once; what a stage had in between is computed again from what entered it.
/// </remarks>
sealed class GradientScores(INetwork network, ITensorSource source, CalibratedPasses calibrated, SearchOptions options)
{
    /// <summary>ModelOpt's guard: no single product counts for more.</summary>
    const float LargestTerm = 1e10f;

    /// <summary>Rows of logits in memory at a time; the last stage treats every row alone.</summary>
    const int HeadRows = 256;

    /// <summary>Where the store keeps the slope in what leaves a stage, and in the features of pictures.</summary>
    const int Slope = -1, FeatureSlope = -2;

    readonly Dictionary<(string Group, string Scheme), double> scores = [];

    /// <summary>Work of one sample beside one forward pass: forward again, back, and every candidate.</summary>
    public static double EffortOf(IReadOnlyList<StageLoader> stages, int first, ITensorSource source, SearchSpace space) =>
        stages.Skip(first).Sum(stage => Work.Of(stage, source) * Passes(space.Groups.Where(group => group.Stage == stage.Name)));

    public IReadOnlyDictionary<(string Group, string Scheme), double> Run(int first, SearchSpace space, Effort effort, CancellationToken cancellation)
    {
        foreach (var group in space.Groups)
            foreach (var scheme in group.Schemes)
                scores[(group.Name, scheme.Name)] = 0;
        for (var i = network.Stages.Count - 1; i >= first; i--)
        {
            var loader = network.Stages[i];
            var groups = space.Groups.Where(group => group.Stage == loader.Name && group.Schemes.Count > 0).ToList();
            using var tensors = new StageTensors(source);
            using var candidates = new PackedCandidates(loader, groups, tensors, calibrated.InputAmax, options.Simulate);
            var modules = new NamedModules(tensors);
            var stage = loader.Load(new Weights(tensors, modules));
            var mixtures = groups.Where(group => group.IsMixture).SelectMany(group => group.Schemes.Select(scheme => new Mixture(
                group, scheme, loader.Load(new Weights(tensors, new OneGroupQuantized(modules, candidates, group, scheme)))))).ToList();
            for (var sample = 0; sample < calibrated.Passes.Count; sample++)
            {
                cancellation.ThrowIfCancellationRequested();
                Back(stage, mixtures, i, sample, i == first, (weight, x, dy) => Score(candidates, modules, weight, x, dy));
                effort.Add("scoring", loader.Name, Work.Of(loader, source) * Passes(groups));
            }
        }
        return scores;
    }

    static double Passes(IEnumerable<SearchGroup> groups) => 3 + groups.Select(group => group.Schemes.Count).DefaultIfEmpty(0).Max();

    void Back(IStage stage, List<Mixture> mixtures, int index, int sample, bool isFirst, Action<ILinearWeight, Tensor, Tensor> observe)
    {
        var (pass, store) = (calibrated.Passes[sample], calibrated.Store);
        using var gradient = new Gradient(observe);
        using var hidden = store.Take((index, sample));
        pass.Hidden = hidden!;
        if (index == network.Stages.Count - 1)
            gradient.Hidden = BackFromLoss(stage, pass, sample, observe);
        else
        {
            (gradient.Hidden, gradient.ImageFeatures) = (store.Take((Slope, sample)), store.Take((FeatureSlope, sample)));
            if (gradient.Hidden is null && gradient.ImageFeatures is null)
                return; // vision stages, and a sample without pictures
            foreach (var mixture in mixtures)
                Score(stage, mixture, pass, gradient.Hidden!);
            gradient.Back(stage, pass);
        }
        pass.Hidden = null!;
        if (isFirst)
            return;
        if (gradient.Hidden is { } slope)
            store.Put((Slope, sample), slope.Clone());
        if (gradient.ImageFeatures is { } featureSlope)
            store.Put((FeatureSlope, sample), featureSlope.Clone());
    }

    /// <summary>The slope of the loss in what enters the last stage, some rows at a time.</summary>
    Tensor BackFromLoss(IStage stage, Pass pass, int sample, Action<ILinearWeight, Tensor, Tensor> observe)
    {
        var (hidden, targets, scale) = (pass.Hidden, Targets(pass), 1.0 / Math.Max(1, BatchTargets(sample)));
        var slope = Tensor.Empty(hidden.Shape);
        for (var start = 0; start < hidden.Rows; start += HeadRows)
        {
            var rows = Math.Min(HeadRows, hidden.Rows - start);
            pass.Hidden = hidden.Slice(start, rows);
            using var gradient = new Gradient(observe);
            gradient.Back(stage, pass, after =>
            {
                gradient.Logits = after.Logits!;
                after.Logits = null;
                CrossEntropyGradient.Apply(gradient.Logits, targets.AsSpan(start, rows), scale, gradient.Logits);
            });
            gradient.Hidden!.Span<float>().CopyTo(slope.Slice(start, rows).Span<float>());
        }
        pass.Hidden = hidden;
        return slope;
    }

    /// <summary>The token after each; placeholders of pictures are not predicted.</summary>
    static int[] Targets(Pass pass)
    {
        var ids = pass.Sample.Ids;
        return [.. ids.Select((_, token) =>
            token + 1 < ids.Length && pass.ImageMask?[token + 1] != true ? ids[token + 1] : CrossEntropyGradient.NoTarget)];
    }

    int BatchTargets(int sample) => calibrated.Passes.Skip(sample / options.BatchSize * options.BatchSize).Take(options.BatchSize)
        .Sum(pass => Targets(pass).Count(target => target != CrossEntropyGradient.NoTarget));

    void Score(PackedCandidates candidates, NamedModules modules, ILinearWeight weight, Tensor x, Tensor dy)
    {
        if (!modules.Names.TryGetValue(weight, out var module)
            || candidates.Groups.FirstOrDefault(group => group.Modules.Any(member => member.Name == module)) is not { IsMixture: false } group)
            return;
        using Tensor exact = Tensor.Empty(dy.Shape), rounded = Tensor.Empty(dy.Shape);
        weight.Multiply(x, exact);
        foreach (var scheme in group.Schemes)
        {
            candidates.Of(module, scheme).Multiply(x, rounded);
            scores[(group.Name, scheme.Name)] += Sum(dy, rounded, exact);
        }
    }

    /// <summary>Of experts the sum counts, which is what their stage leaves: they are its last steps.</summary>
    void Score(IStage stage, Mixture mixture, Pass pass, Tensor slope)
    {
        var members = mixture.Group.Modules.Select(module => module.Name).ToHashSet();
        var first = stage.Steps.Index().First(step => step.Item.Inputs.Any(input => input.Modules.Any(members.Contains))).Index;
        var (found, between) = (pass.Hidden, new List<Tensor>());
        Run(stage.Steps.Take(first));
        var (hidden, input, routes) = (pass.Hidden, pass.Input, pass.Routes);
        var exact = Run(stage.Steps.Skip(first));
        (pass.Hidden, pass.Input, pass.Routes) = (hidden, input, routes);
        var rounded = Run(mixture.Stage.Steps.Skip(first));
        scores[(mixture.Group.Name, mixture.Scheme.Name)] += Sum(slope, rounded, exact);
        (pass.Hidden, pass.Input, pass.Routes) = (found, null, null);
        foreach (var tensor in between.Distinct())
            tensor.Dispose();

        Tensor Run(IEnumerable<Step> steps)
        {
            foreach (var step in steps)
            {
                step.Run(pass);
                between.AddRange(((Tensor?[])[pass.Hidden, pass.Input]).OfType<Tensor>().Where(tensor => tensor != found));
            }
            return pass.Hidden;
        }
    }

    /// <summary>Σ clamp(g · (q - y))². Writes over q.</summary>
    static double Sum(Tensor slope, Tensor rounded, Tensor exact)
    {
        var sum = 0.0;
        for (var row = 0; row < slope.Rows; row++)
        {
            Span<float> difference = rounded.Row(row);
            TensorPrimitives.Subtract(difference, exact.Row(row), difference);
            TensorPrimitives.Multiply(difference, slope.Row(row), difference);
            foreach (var term in difference)
                sum += Math.Clamp(term, -LargestTerm, LargestTerm) * (double)Math.Clamp(term, -LargestTerm, LargestTerm);
        }
        return sum;
    }

    /// <summary>The experts of a stage, all in one scheme.</summary>
    sealed record Mixture(SearchGroup Group, Scheme Scheme, IStage Stage);

    /// <summary>Dense modules, and which weight is whose.</summary>
    sealed class NamedModules(ITensorSource tensors) : IModuleSource
    {
        public Dictionary<ILinearWeight, string> Names { get; } = new(ReferenceEqualityComparer.Instance);

        public ILinearWeight Linear(string module)
        {
            var weight = new DenseModules(tensors).Linear(module);
            Names.Add(weight, module);
            return weight;
        }

        public IKeyValueFilter? KeyValues(string attention) => null;
    }
}
