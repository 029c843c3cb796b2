using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Tensors;

namespace Nibble.Quant.Search;

/// <summary>Measures what every scheme does to every group: calibration by largest magnitudes, then a score for each pair.</summary>
public static class SensitivitySearch
{
    /// <returns>The scores, in the order of the space; groups without candidates are left out.</returns>
    /// <exception cref="QuantizationException">There are no samples, or an activation is not finite.</exception>
    /// <exception cref="ModelException">A stage of the network knows no way back.</exception>
    public static (IReadOnlyList<GroupScores> Scores, long Tokens) Run(
        INetwork network, ITensorSource source, SearchSpace space, ISampleSource samples, SearchMethod method, SearchOptions options,
        IProgress<SearchProgress>? progress = null, CancellationToken cancellation = default)
    {
        if (samples.Count == 0)
            throw new QuantizationException("Scores need calibration data; none was given.");
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchSize, 1);
        var searched = space.Groups.Where(group => group.Schemes.Count > 0).ToList();
        var modules = searched.SelectMany(group => group.Modules).Select(module => module.Name).ToHashSet();
        var first = network.Stages.Index().First(stage => searched.Exists(group => group.Stage == stage.Item.Name)).Index;

        if (method == SearchMethod.Gradient)
            CheckWayBack(network, source, first);

        var work = network.Stages.SkipLast(1).Sum(stage => Work.Of(stage, source)) + (method == SearchMethod.Gradient
            ? GradientScores.EffortOf(network.Stages, first, source, space) : DivergenceScores.EffortOf(network.Stages, source, space));
        var effort = new Effort(work * samples.Count, progress);
        using var calibrated = new CalibratedPasses(network, source, samples, options);
        calibrated.Run(first, modules.Contains, effort, cancellation);
        var scores = method == SearchMethod.Gradient
            ? new GradientScores(network, source, calibrated, options).Run(first, space, effort, cancellation)
            : new DivergenceScores(network, source, calibrated, options).Run(space, effort, cancellation);
        return ([.. searched.Select(group => new GroupScores(group.Name, SearchSpace.Part(group.Scope), [.. group.Modules.Select(module => module.Name)],
            group.Schemes.ToDictionary(scheme => scheme.Name, scheme => scores[(group.Name, scheme.Name)])))],
            calibrated.Passes.Sum(pass => (long)pass.Sample.Ids.Length));
    }

    /// <summary>Asks every stage before the first sample is run.</summary>
    static void CheckWayBack(INetwork network, ITensorSource source, int first)
    {
        foreach (var stage in network.Stages.Skip(first))
        {
            using var tensors = new StageTensors(source);
            if (stage.Load(new Weights(tensors)).Steps.Any(step => step.Back is null))
                throw new ModelException($"{stage.Name}: no gradient of this kind of stage is known here; the divergence score needs none.");
        }
    }
}
