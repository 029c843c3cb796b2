using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Search;

/// <summary>
/// The divergence score of a group and a scheme: Σ KL(p‖q) over all tokens, p being predicted by the unquantized network and q by one in
/// which this group alone is quantized.
/// </summary>
/// <remarks>
/// All candidates of a stage go through the rest of the network together, from the states that were kept where they begin, so every later
/// stage is loaded once for each earlier one.
/// </remarks>
sealed class DivergenceScores(INetwork network, ITensorSource source, CalibratedPasses calibrated, SearchOptions options)
{
    /// <summary>Rows of logits in memory at a time; the last stage treats every row alone.</summary>
    const int HeadRows = 256;

    /// <summary>The first row of the store that is no stage's: candidate c has its state at 2c and its features of pictures at 2c + 1.</summary>
    int Row(int candidate, bool features) => network.Stages.Count + 2 * candidate + (features ? 1 : 0);

    /// <summary>Work of one sample beside one forward pass.</summary>
    public static double EffortOf(IReadOnlyList<StageLoader> stages, ITensorSource source, SearchSpace space) => stages.Index().Sum(stage =>
    {
        var candidates = space.Groups.Where(group => group.Stage == stage.Item.Name).Sum(group => group.Schemes.Count);
        return candidates == 0 ? 0 : candidates * stages.Skip(stage.Index).Sum(later => Work.Of(later, source)) + Work.Of(stages[^1], source);
    });

    public IReadOnlyDictionary<(string Group, string Scheme), double> Run(SearchSpace space, Effort effort, CancellationToken cancellation)
    {
        var scores = new Dictionary<(string Group, string Scheme), double>();
        for (var i = 0; i < network.Stages.Count - 1; i++)
        {
            var groups = space.Groups.Where(group => group.Stage == network.Stages[i].Name && group.Schemes.Count > 0).ToList();
            if (groups.Count == 0)
                continue;
            var candidates = groups.SelectMany(group => group.Schemes.Select(scheme => (Group: group, Scheme: scheme))).ToList();
            Begin(i, groups, candidates, effort, cancellation);
            for (var later = i + 1; later < network.Stages.Count - 1; later++)
                Advance(later, candidates.Count, effort, cancellation);
            var sums = Compare(candidates.Count, effort, cancellation);
            for (var c = 0; c < candidates.Count; c++)
                scores.Add((candidates[c].Group.Name, candidates[c].Scheme.Name), sums[c]);
        }
        return scores;
    }

    /// <summary>Runs the searched stage once for each candidate.</summary>
    void Begin(int index, List<SearchGroup> groups, List<(SearchGroup Group, Scheme Scheme)> candidates, Effort effort, CancellationToken cancellation)
    {
        using var tensors = new StageTensors(source);
        using var packed = new PackedCandidates(network.Stages[index], groups, tensors, calibrated.InputAmax, options.Simulate);
        var dense = new DenseModules(tensors);
        var stages = candidates.Select(candidate => network.Stages[index].Load(
            new Weights(tensors, new OneGroupQuantized(dense, packed, candidate.Group, candidate.Scheme)))).ToList();
        for (var sample = 0; sample < calibrated.Passes.Count; sample++)
        {
            using var hidden = calibrated.Store.Take((index, sample));
            for (var c = 0; c < stages.Count; c++)
            {
                cancellation.ThrowIfCancellationRequested();
                var pass = calibrated.Passes[sample];
                var features = pass.ImageFeatures;
                (pass.Hidden, pass.ImageFeatures) = (hidden!, network.Stages[index].Scope == Scope.Language ? features : null);
                stages[c].Forward(pass);
                Leave(pass, sample, c, ReferenceEquals(pass.Hidden, hidden), ReferenceEquals(pass.ImageFeatures, features));
                pass.ImageFeatures = features;
                effort.Add("scoring", network.Stages[index].Name, Work.Of(network.Stages[index], source));
            }
        }
    }

    void Advance(int index, int candidates, Effort effort, CancellationToken cancellation)
    {
        using var tensors = new StageTensors(source);
        var stage = network.Stages[index].Load(new Weights(tensors));
        for (var c = 0; c < candidates; c++)
            for (var sample = 0; sample < calibrated.Passes.Count; sample++)
            {
                cancellation.ThrowIfCancellationRequested();
                var pass = calibrated.Passes[sample];
                var features = pass.ImageFeatures;
                using var hidden = calibrated.Store.Take((Row(c, false), sample));
                using var own = calibrated.Store.Take((Row(c, true), sample));
                (pass.Hidden, pass.ImageFeatures) = (hidden!, own ?? features);
                stage.Forward(pass);
                Leave(pass, sample, c, ReferenceEquals(pass.Hidden, hidden),
                    ReferenceEquals(pass.ImageFeatures, features) || ReferenceEquals(pass.ImageFeatures, own));
                pass.ImageFeatures = features;
                effort.Add("scoring", network.Stages[index].Name, Work.Of(network.Stages[index], source));
            }
    }

    /// <summary>Keeps what a stage made new; what it left alone is of no use to a later one.</summary>
    void Leave(Pass pass, int sample, int candidate, bool oldHidden, bool oldFeatures)
    {
        if (!oldHidden && pass.Hidden is not null)
            calibrated.Store.Put((Row(candidate, false), sample), pass.Hidden);
        if (!oldFeatures && pass.ImageFeatures is not null)
            calibrated.Store.Put((Row(candidate, true), sample), pass.ImageFeatures);
        pass.Hidden = null!;
    }

    /// <summary>Σ KL of every candidate.</summary>
    double[] Compare(int candidates, Effort effort, CancellationToken cancellation)
    {
        using var tensors = new StageTensors(source);
        var head = network.Stages[^1].Load(new Weights(tensors));
        var sums = new double[candidates];
        for (var sample = 0; sample < calibrated.Passes.Count; sample++)
        {
            var pass = calibrated.Passes[sample];
            var exact = calibrated.Store.Take((network.Stages.Count - 1, sample))!;
            var states = Enumerable.Range(0, candidates).Select(c => calibrated.Store.Take((Row(c, false), sample))).ToList();
            for (var start = 0; start < exact.Rows; start += HeadRows)
            {
                cancellation.ThrowIfCancellationRequested();
                using var p = Logits(head, pass, exact, start);
                for (var c = 0; c < candidates; c++)
                {
                    using var q = Logits(head, pass, states[c]!, start);
                    sums[c] += Divergence.Of(p, q).Sum();
                }
            }
            foreach (var state in states)
                state!.Dispose();
            calibrated.Store.Put((network.Stages.Count - 1, sample), exact);
            effort.Add("scoring", network.Stages[^1].Name, Work.Of(network.Stages[^1], source) * (candidates + 1));
        }
        return sums;
    }

    static Tensor Logits(IStage head, Pass pass, Tensor hidden, int start)
    {
        pass.Hidden = hidden.Slice(start, Math.Min(HeadRows, hidden.Rows - start));
        head.Forward(pass);
        pass.Hidden = null!;
        var logits = pass.Logits!;
        pass.Logits = null;
        return logits;
    }
}
