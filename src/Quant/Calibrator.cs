using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>What was learned of one stage.</summary>
/// <param name="Groups">Modules with the same inputs, in running order; those no token reached too.</param>
/// <param name="Inputs">By group, in the same order; null where no token came.</param>
public sealed record StageStatistics(
    string Stage, IReadOnlyList<StatisticsGroup> Groups, IReadOnlyList<LayerStatistics?> Inputs,
    IReadOnlyDictionary<string, KeyValueStatistics> Caches)
{
    /// <summary>The most rows any module saw.</summary>
    public long Tokens(Modality modality) => Inputs.Max(inputs => inputs?.Tokens(modality)) ?? 0;

    /// <summary>All of it as tensors under the names <see cref="StoredStatistics"/> reads.</summary>
    public IEnumerable<(string Name, Tensor Tensor)> ToTensors() =>
        Groups.Zip(Inputs).Where(pair => pair.Second is not null).Select(pair => (pair.First.Name, Tensors: pair.Second!.ToTensors()))
            .Concat(Caches.Select(cache => (Name: cache.Key, Tensors: cache.Value.ToTensors())))
            .SelectMany(entry => entry.Tensors.Select(tensor => ($"{entry.Name}/{tensor.Key}", tensor.Value)));
}

/// <summary>Runs samples through a network, stage by stage, and learns what its modules are multiplied with. Nothing is quantized.</summary>
/// <param name="needs">What to gather besides tokens and largest magnitudes, of a module and its inputs.</param>
public sealed class Calibrator(INetwork network, ITensorSource source, Func<string, int, StatisticNeeds> needs, QuantizerOptions options)
{
    /// <summary>The matrices of the modules that have one of their own; a tied head has not.</summary>
    readonly Dictionary<string, TensorSpec> weights = network.Stages.SelectMany(stage => stage.Modules)
        .Select(module => (module, Spec: source.Find(module + ".weight"))).Where(pair => pair.Spec is { Shape.Rank: 2 })
        .ToDictionary(pair => pair.module, pair => pair.Spec!);

    /// <param name="finished">Whether an earlier run has learned all of a stage: samples still run through it.</param>
    /// <param name="take">Gets what was learned as soon as a stage is done; it is released afterwards.</param>
    /// <exception cref="QuantizationException">There are no samples, or an activation is not finite.</exception>
    public void Run(
        ISampleSource samples, Func<string, bool> finished, Action<StageStatistics> take, IProgress<Progress>? progress = null,
        CancellationToken cancellation = default)
    {
        if (samples.Count == 0)
            throw new QuantizationException("Calibrating needs at least one sample.");
        using var passes = new ActivationStore(network, samples, options.ActivationBudget, options.SpillFolder);
        using var readAhead = new ReadAhead(network.Stages, source);
        var costs = network.Stages.Select(stage => 1.0 + stage.Modules.Sum(module => weights.GetValueOrDefault(module)?.Bytes ?? 0)).ToList();
        var (total, done) = (costs.Sum() * samples.Count, 0.0);
        for (var i = 0; i < network.Stages.Count; i++)
        {
            var stage = network.Stages[i];
            readAhead.Begin(i);
            var known = finished(stage.Name);
            RunStage(stage, passes, known ? null : take, () => progress?.Report(new Progress(
                Phase.Forward, stage.Name, i, network.Stages.Count, Math.Min(1, (done += costs[i]) / total), known)), cancellation);
        }
    }

    void RunStage(
        StageLoader loader, ActivationStore passes, Action<StageStatistics>? take, Action ran, CancellationToken cancellation)
    {
        using var tensors = new StageTensors(source);
        using var inputs = new ObservedInputs(loader.Scope, module => take is not null && weights.ContainsKey(module), options.ErrorRows, Needs);
        var keyValues = new ObservedKeyValues(new DenseModules(tensors));
        var stage = loader.Load(new Weights(tensors, keyValues));
        for (var i = 0; i < passes.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            var pass = passes.Take(i);
            keyValues.Begin(pass, passes.Batch(i));
            foreach (var step in stage.Steps)
            {
                inputs.Observe(step, pass, i);
                step.Advance(pass);
            }
            pass.Logits?.Dispose();
            pass.Logits = null;
            passes.Return(i, pass);
            ran();
        }
        if (take is null)
            return;
        var groups = stage.Steps.SelectMany(step => step.Inputs).Select(group => group.Modules.Where(weights.ContainsKey).ToList())
            .Where(modules => modules.Count > 0).Select(modules => new StatisticsGroup(modules, Width(modules[0]), Needs(modules[0]))).ToList();
        take(new StageStatistics(loader.Name, groups, [.. groups.Select(group => inputs.Layers.GetValueOrDefault(group.Name))],
            loader.Attentions.ToDictionary(name => name, name => keyValues.Statistics[name])));
    }

    int Width(string module) => weights[module].Shape[1] is var width && width <= int.MaxValue ? (int)width
        : throw new QuantizationException($"{module}: {weights[module].Shape} is wider than a matrix can be.");

    StatisticNeeds Needs(string module) => weights.ContainsKey(module) ? needs(module, Width(module)) : StatisticNeeds.None;
}
