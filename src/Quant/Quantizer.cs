using System.Diagnostics;
using System.Text.Json;
using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <param name="ActivationBudget">Bytes of hidden states kept in memory; more waits on disk.</param>
/// <param name="SpillFolder">Where it waits.</param>
/// <param name="ErrorRows">Input rows kept per module and modality to measure output errors with.</param>
public sealed record QuantizerOptions(long ActivationBudget, string SpillFolder, int ErrorRows = 128);

/// <summary>
/// Carries out a plan stage by stage: every sample runs through the stage in full precision while its modules are watched, then the
/// modules become codes and go to the sink, then the stage is dropped. Without activations to calibrate no sample is run at all.
/// </summary>
public sealed class Quantizer(INetwork network, ITensorSource source, Plan plan, QuantizerOptions options)
{
    readonly Dictionary<string, List<PlannedModule>> modulesOfStage =
        plan.Quantized.GroupBy(module => module.Stage).ToDictionary(group => group.Key, group => group.ToList());

    /// <summary>Most activations held in memory between two stages, in bytes; 0 before <see cref="Run"/>.</summary>
    public long PeakActivationBytes { get; private set; }

    /// <summary>Activations written to disk, in bytes, counted each time; 0 before <see cref="Run"/>.</summary>
    public long SpilledBytes { get; private set; }

    /// <summary>Runs to the end, or from where an earlier run with the same sink was stopped.</summary>
    /// <param name="samples">Calibration data; null when the plan needs none.</param>
    /// <exception cref="QuantizationException">The plan has problems, or an activation is not finite.</exception>
    public IReadOnlyList<StageReport> Run(
        ISampleSource? samples, IQuantizedSink sink, IProgress<Progress>? progress = null, CancellationToken cancellation = default)
    {
        if (plan.Problems.Count > 0)
            throw new QuantizationException(plan.Problems[0]);
        if (plan.NeedsData && samples is null or { Count: 0 })
            throw new QuantizationException("The formats of this plan need calibration data; none was given.");

        var stages = LastNeeded();
        var finished = stages.Where(Mentioned).ToDictionary(stage => stage.Name, stage => sink.FinishedNote(stage.Name));
        var schedule = new Schedule(stages, source, plan, samples?.Count ?? 0, progress);
        using var passes = plan.NeedsData ? new ActivationStore(network, samples!, options.ActivationBudget, options.SpillFolder) : null;
        using var readAhead = new ReadAhead(stages, source);
        using var writes = new WriteBehind(sink);
        var reports = new List<StageReport>();
        for (var i = 0; i < stages.Count; i++)
        {
            schedule.Begin(stages[i]);
            readAhead.Begin(i);
            var earlier = finished.GetValueOrDefault(stages[i].Name) is { } note
                ? JsonSerializer.Deserialize(note, ReportJson.Default.StageReport) : null;
            if (RunStage(stages[i], passes, earlier, writes, schedule, cancellation) is { } report)
                reports.Add(report);
            if (earlier is not null)
                schedule.Skip();
            cancellation.ThrowIfCancellationRequested();
        }
        writes.Complete();
        (PeakActivationBytes, SpilledBytes) = (passes?.PeakBytes ?? 0, passes?.SpilledBytes ?? 0);
        return reports;
    }

    /// <summary>With data: the stages up to the last one the plan mentions. Without: only those it mentions.</summary>
    List<StageLoader> LastNeeded()
    {
        if (!plan.NeedsData)
            return [.. network.Stages.Where(Mentioned)];
        var last = network.Stages.Select((stage, index) => Mentioned(stage) ? index : -1).Max();
        return [.. network.Stages.Take(last + 1)];
    }

    bool Mentioned(StageLoader stage) => modulesOfStage.ContainsKey(stage.Name) || stage.Attentions.Any(plan.Attentions.Contains);

    StageReport? RunStage(
        StageLoader stage, ActivationStore? passes, StageReport? finished, WriteBehind writes, Schedule schedule,
        CancellationToken cancellation)
    {
        var modules = modulesOfStage.GetValueOrDefault(stage.Name, []);
        var watched = finished is null ? modules.Select(module => module.Name).ToHashSet() : [];
        using var tensors = new StageTensors(source);
        using var inputs = new ObservedInputs(stage.Scope, watched.Contains, options.ErrorRows);
        var keyValues = new ObservedKeyValues(new DenseModules(tensors));

        var quantization = new StageQuantization(plan, tensors, inputs, keyValues);
        if (passes is not null && finished is null)
            quantization.CheckWeights(modules); // or a NaN would show as an activation of some later module

        var clock = Stopwatch.StartNew();
        if (passes is not null)
            Forward(stage.Load(new Weights(tensors, keyValues)), inputs, passes, schedule, finished is not null, cancellation);
        var forward = clock.Elapsed;
        if (finished is not null || !Mentioned(stage))
            return finished;

        clock.Restart();
        var moduleReports = modules.Select(module => quantization.Quantize(module, writes, schedule)).ToList();
        var cacheReports = stage.Attentions.Where(plan.Attentions.Contains).Select(name => quantization.Scales(name, writes)).ToList();
        var report = new StageReport(
            stage.Name, forward.TotalSeconds, clock.Elapsed.TotalSeconds, ProcessMemory.PeakBytes, moduleReports, cacheReports);
        writes.Finish(stage.Name, JsonSerializer.SerializeToUtf8Bytes(report, ReportJson.Default.StageReport));
        return report;
    }

    static void Forward(
        IStage stage, ObservedInputs inputs, ActivationStore passes, Schedule schedule, bool resumed, CancellationToken cancellation)
    {
        for (var i = 0; i < passes.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            var pass = passes.Take(i);
            foreach (var step in stage.Steps)
            {
                inputs.Observe(step, pass);
                step.Advance(pass);
            }
            pass.Logits?.Dispose();
            pass.Logits = null;
            passes.Return(i, pass);
            schedule.Ran(resumed);
        }
    }
}
