using System.Diagnostics;
using Nibble.Models;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>
/// Quantizes a stage one input group after the other. Every sample is carried along twice, through the original stage and through the one
/// that is quantized so far: once each from one group to the next, so a stage costs two forward passes however many groups it has.
/// </summary>
sealed class SequentialStage : IDisposable
{
    readonly StageLoader loader;
    readonly Plan plan;
    readonly Dictionary<string, PlannedModule> planned;
    readonly ITensorSource tensors;
    readonly Streams streams;
    readonly ObservedInputs original, quantized;
    readonly ObservedKeyValues keyValues;
    readonly ReplaceableModules modules;
    readonly IStage originalStage, quantizedStage;
    readonly CompensationOptions options;
    readonly long momentBudget;
    readonly CancellationToken cancellation;
    readonly List<QuantizedModule> finished = [];
    readonly Stopwatch quantizing = new();

    public SequentialStage(
        StageLoader loader, Plan plan, ITensorSource tensors, Streams streams, QuantizerOptions settings, CancellationToken cancellation)
    {
        (this.loader, this.plan, this.tensors, this.streams, this.cancellation) = (loader, plan, tensors, streams, cancellation);
        streams.Part();
        planned = plan.Quantized.Where(module => module.Stage == loader.Name).ToDictionary(module => module.Name);
        original = new ObservedInputs(loader.Scope, planned.ContainsKey, settings.ErrorRows);
        quantized = new ObservedInputs(loader.Scope, planned.ContainsKey, settings.ErrorRows);
        keyValues = new ObservedKeyValues(new DenseModules(tensors));
        modules = new ReplaceableModules(new DenseModules(tensors));
        originalStage = loader.Load(new Weights(tensors, keyValues));
        quantizedStage = loader.Load(new Weights(tensors, modules));
        momentBudget = settings.ActivationBudget;
        options = settings.Compensation ?? plan.Recipe.Algorithm.Compensation();
    }

    /// <summary>How often every sample is taken through part of the stage.</summary>
    public int Rounds => 2 * (1 + originalStage.Steps.Count(HasWork));

    /// <summary>Time spent on sums and codes, not on running the stage.</summary>
    public TimeSpan Quantizing => quantizing.Elapsed;

    /// <summary>Quantizes every group.</summary>
    /// <param name="last">Nothing comes after this stage: what its last modules make of the samples is not needed.</param>
    /// <param name="ran">Called for every sample of every round.</param>
    public IReadOnlyList<ModuleReport> Quantize(bool last, Action ran, Action<string> quantizedModule)
    {
        var reports = new List<ModuleReport>();
        var from = 0;
        for (var step = 0; step < originalStage.Steps.Count; step++)
        {
            if (!HasWork(originalStage.Steps[step]))
                continue;
            Advance(from, step, ran);
            quantizing.Start();
            foreach (var report in Quantize(originalStage.Steps[step], quantizedStage.Steps[step]))
            {
                reports.Add(report);
                quantizedModule(report.Name);
            }
            quantizing.Stop();
            from = step;
        }
        if (!last || loader.Attentions.Any(plan.Attentions.Contains)) // whose keys may come behind the last group
            Advance(from, originalStage.Steps.Count, ran);
        return [.. loader.Modules.Join(reports, name => name, report => report.Name, (_, report) => report)];
    }

    /// <summary>Takes the samples through a stage that an earlier run has finished.</summary>
    /// <param name="read">What that run made of a module.</param>
    public void Replay(Func<PlannedModule, PackedWeight> read, IEnumerable<KeyValueReport> caches, Action ran)
    {
        foreach (var module in planned.Values)
            modules.Replace(module.Name, read(module));
        foreach (var attention in Caches)
            Replace(caches.FirstOrDefault(cache => cache.Attention == attention) ?? Report(attention));
        Advance(0, originalStage.Steps.Count, ran);
    }

    /// <summary>Hands over what was quantized, and the scales of the cache.</summary>
    public IReadOnlyList<KeyValueReport> Write(WriteBehind writes)
    {
        foreach (var module in finished)
            writes.Write(module);
        finished.Clear();
        var reports = loader.Attentions.Where(plan.Attentions.Contains).Select(Report).ToList();
        foreach (var report in reports)
            writes.Write(report.Scales(plan.Recipe.KeyValues!));
        return reports;
    }

    public void Dispose()
    {
        original.Dispose();
        quantized.Dispose();
    }

    bool HasWork(Step step) => step.Inputs.Any(group => Planned(group).Any());

    IEnumerable<PlannedModule> Planned(InputGroup group) =>
        group.Modules.Select(name => planned.GetValueOrDefault(name)).OfType<PlannedModule>();

    /// <summary>Runs the steps between two groups, first all samples as they were, then all as they have become.</summary>
    void Advance(int from, int to, Action ran)
    {
        Advance(streams.Original, originalStage, original, from, to, keyValues.Begin, ran);
        foreach (var attention in Caches)
            Replace(Report(attention));
        Advance(streams.Quantized, quantizedStage, quantized, from, to, (_, _) => { }, ran);
    }

    /// <param name="begin">Called with every sample, and its batch, before it runs.</param>
    void Advance(ActivationStore passes, IStage stage, ObservedInputs inputs, int from, int to, Action<Pass, int> begin, Action ran)
    {
        for (var sample = 0; sample < passes.Count; sample++)
        {
            cancellation.ThrowIfCancellationRequested();
            var pass = passes.Take(sample);
            begin(pass, passes.Batch(sample));
            for (var step = from; step < to; step++)
                stage.Steps[step].Advance(pass);
            if (to < stage.Steps.Count)
                inputs.Observe(stage.Steps[to], pass, sample);
            pass.Logits?.Dispose();
            pass.Logits = null;
            passes.Return(sample, pass);
            ran();
        }
    }

    /// <summary>Quantizes all groups of a step: as many experts at a time as their moments find room for.</summary>
    IEnumerable<ModuleReport> Quantize(Step before, Step now)
    {
        var waiting = new Queue<GroupWork>(before.Inputs.Zip(now.Inputs).SelectMany(pair =>
            Planned(pair.First).GroupBy(module => module.Scheme!.Activation).Select(alike => Begin(pair.First, pair.Second, [.. alike]))));
        while (waiting.Count > 0)
        {
            var batch = new List<GroupWork> { waiting.Dequeue() };
            var bytes = MomentSums.Bytes(batch[0].Width, options);
            while (waiting.TryPeek(out var next) && (bytes += MomentSums.Bytes(next.Width, options)) <= momentBudget)
                batch.Add(waiting.Dequeue());
            Sum(batch);
            foreach (var work in batch)
                foreach (var report in Solve(work))
                    yield return report;
        }
    }

    /// <summary>Modules with one input, rounded alike.</summary>
    sealed record GroupWork(InputGroup Original, InputGroup Quantized, IReadOnlyList<PlannedModule> Modules, float? InputScale, MomentSums Sums)
    {
        public int Width => Modules[0].Columns;

        public ActivationFormat? Activation => Modules[0].Scheme!.Activation;
    }

    GroupWork Begin(InputGroup before, InputGroup now, IReadOnlyList<PlannedModule> alike)
    {
        var statistics = quantized.Layers.GetValueOrDefault(before.Modules[0]);
        float? inputScale = alike[0].Scheme!.Activation is { NeedsAmax: true } format ? format.Scale(quantized.Amax(loader, alike[0].Name)) : null;
        return new GroupWork(before, now, alike, inputScale, new MomentSums(alike[0].Columns, options,
            statistics?.Tokens(Modality.Text) ?? 0, statistics?.Tokens(Modality.Vision) ?? 0));
    }

    IEnumerable<ModuleReport> Solve(GroupWork work)
    {
        using var sums = work.Sums;
        using var moments = sums.Finish();
        foreach (var fused in work.Modules.GroupBy(module => (module.Scheme!.Weight, Fused: string.Join(' ', module.Group))))
        {
            var layers = fused.Select(module => new LayerContext(module.Name, tensors.Load(module.Weight.Name), moments)).ToList();
            var results = Compensation.Quantize(layers, fused.Key.Weight, sums.Options, ShareScale(fused));
            foreach (var (module, result) in fused.Zip(results))
                yield return Finish(module, result, work.InputScale);
        }
    }

    bool ShareScale(IEnumerable<PlannedModule> fused) => fused.First().Scheme!.Weight is var format
        && (format.FusedModulesShareScale || format.HasTensorScale && loader.SharingWeight(fused.First().Name).Count > 1);

    /// <summary>Gathers the moments of some groups over all samples.</summary>
    void Sum(List<GroupWork> batch)
    {
        for (var sample = 0; sample < streams.Quantized.Count; sample++)
        {
            cancellation.ThrowIfCancellationRequested();
            var now = streams.Quantized.Take(sample);
            var before = MomentSums.NeedsCross(options) ? streams.Original.Take(sample) : null;
            foreach (var work in batch)
                if (work.Quantized.Rows(now) is { } rows)
                    using (var pairs = new PairedRows(rows, before is null ? null : work.Original.Rows(before), x => Round(x, work)))
                        work.Sums.Add(pairs.X, pairs.Original, Modalities.Of(now, loader.Scope, rows), sample);
            if (before is not null)
                streams.Original.Return(sample, before);
            streams.Quantized.Return(sample, now);
        }
    }

    static Tensor Round(Tensor x, GroupWork work)
    {
        if (work.Activation is not { } activation)
            return x;
        var rounded = x.Clone();
        for (var row = 0; row < rounded.Rows; row++)
            activation.Round(rounded.Row(row), work.InputScale ?? 1);
        return rounded;
    }

    ModuleReport Finish(PlannedModule module, CompensationResult result, float? inputScale)
    {
        var weight = tensors.Load(module.Weight.Name);
        var packed = new PackedWeight(result.Weight, module.Scheme!.Activation, inputScale ?? 1);
        modules.Replace(module.Name, packed);
        finished.Add(new QuantizedModule(module, result.Weight, inputScale));
        var after = quantized.Layers.GetValueOrDefault(module.Name);
        var routed = loader.SharingInput(module.Name).Count > 1; // the two models send other tokens: measured on those that come now
        var before = routed ? after : original.Layers.GetValueOrDefault(module.Name);
        return new ModuleReport(
            module.Name, module.Scope.ToString().ToLowerInvariant(), module.Scheme.Name, module.Rows, module.Columns, module.Weight.Bytes,
            result.Weight.Bytes, Errors.OfWeight(weight, packed),
            Errors.OfOutput(weight, packed, before?.Rows(Modality.Text), after?.Rows(Modality.Text)),
            Errors.OfOutput(weight, packed, before?.Rows(Modality.Vision), after?.Rows(Modality.Vision)),
            after?.AmaxOf(Modality.Text), after?.AmaxOf(Modality.Vision),
            after?.Tokens(Modality.Text) ?? 0, after?.Tokens(Modality.Vision) ?? 0)
        {
            Alpha = options.Shift == Shift.None ? null : result.Alpha,
            Mu = result.Mu,
            Damping = result.Damping,
            Notes = result.Notes,
        };
    }

    /// <summary>Attention modules whose keys and values are rounded, with stored scales or without.</summary>
    IReadOnlyList<string> Caches => plan.Recipe.KeyValues is null ? [] : loader.Attentions;

    KeyValueReport Report(string attention) =>
        KeyValueReport.Of(attention, keyValues.Statistics[attention], plan.Recipe.KeyValues!);

    void Replace(KeyValueReport cache) => modules.Replace(
        cache.Attention, QuantizedKeyValues.Of(cache.Scales(plan.Recipe.KeyValues!), plan.Recipe.KeyValues!));
}
