using System.Diagnostics;
using System.Text.Json;
using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>Runs, quantizes and writes one stage of a plan at a time.</summary>
sealed class StageRun(
    Plan plan, ITensorSource source, QuantizerOptions options, Streams? streams, IQuantizedSink sink, WriteBehind writes, Schedule schedule,
    CancellationToken cancellation)
{
    /// <param name="finished">What an earlier run noted of the stage, or null.</param>
    /// <param name="mentioned">Whether the plan does anything to the stage.</param>
    /// <param name="last">Whether no stage comes after it.</param>
    /// <returns>The report of a stage the plan mentions.</returns>
    public StageReport? Run(StageLoader stage, StageReport? finished, bool mentioned, bool last)
    {
        using var tensors = new StageTensors(source);
        if (streams is null)
            return finished ?? Calibrated(stage, tensors);
        if (mentioned && Sequential)
            return finished is null ? Quantized(stage, tensors, last) : Replayed(stage, tensors, finished);
        if (mentioned && finished is null)
            return Calibrated(stage, tensors);
        Forward(stage, tensors, finished);
        return finished;
    }

    bool Sequential => plan.Recipe.Algorithm.IsSequential();

    IEnumerable<PlannedModule> ModulesOf(StageLoader stage) => plan.Quantized.Where(module => module.Stage == stage.Name);

    /// <summary>One pass in full precision, if there is data, then every module by itself.</summary>
    StageReport Calibrated(StageLoader stage, StageTensors tensors)
    {
        var modules = ModulesOf(stage).ToList();
        var watched = modules.ToDictionary(module => module.Name);
        var twice = streams is not null && plan.SeesRounding;
        using var inputs = new ObservedInputs(stage.Scope, watched.ContainsKey, options.ErrorRows,
            name => twice ? WeightRounding.NeedsBefore(plan.Recipe, watched[name]) : RequiredStatistics.Of(plan.Recipe, watched[name]));
        using var rounded = twice
            ? new ObservedInputs(stage.Scope, watched.ContainsKey, keptRows: 0, name => WeightRounding.Needs(plan.Recipe, watched[name])) : null;
        var keyValues = new ObservedKeyValues(new DenseModules(tensors));
        var quantization = new StageQuantization(plan, stage, tensors, inputs, keyValues, rounded ?? inputs);
        var clock = Stopwatch.StartNew();
        if (streams is not null)
        {
            quantization.CheckWeights(modules); // or a NaN would show as an activation of some later module
            if (twice)
                streams.Part();
            Forward(streams.Original, stage.Load(new Weights(tensors, keyValues)), inputs, resumed: false, keyValues);
            if (rounded is not null)
                Forward(streams.Quantized, stage.Load(new Weights(tensors, Rounded(tensors, stage, quantization.InputAmax, attention =>
                    KeyValueReport.Of(attention, keyValues.Statistics[attention], plan.Recipe.KeyValues!)))), rounded, resumed: false);
        }
        else if (options.Statistics is { } stored)
        {
            inputs.Restore(stored, watched.Keys);
            keyValues.Restore(stored, stage.Attentions);
        }
        var forward = clock.Elapsed;

        clock.Restart();
        var reports = modules.Select(module => quantization.Quantize(module, writes, schedule)).ToList();
        var caches = stage.Attentions.Where(plan.Attentions.Contains).Select(name => quantization.Scales(name, writes)).ToList();
        return Finish(stage, forward, clock.Elapsed, reports, caches);
    }

    /// <summary>Two passes, from one group of modules to the next.</summary>
    StageReport Quantized(StageLoader stage, StageTensors tensors, bool last)
    {
        foreach (var module in ModulesOf(stage))
            WeightQuantizer.AbsMax(tensors.Load(module.Weight.Name), module.Weight.Name); // or a NaN would show as an activation
        var clock = Stopwatch.StartNew();
        using var sequential = new SequentialStage(stage, plan, tensors, streams!, options, cancellation);
        var share = 1.0 / sequential.Rounds;
        var reports = sequential.Quantize(last, () => schedule.Ran(resumed: false, share), schedule.Quantized);
        var caches = sequential.Write(writes);
        return Finish(stage, clock.Elapsed - sequential.Quantizing, sequential.Quantizing, reports, caches);
    }

    /// <summary>Both passes through a stage whose modules an earlier run has written.</summary>
    StageReport Replayed(StageLoader stage, StageTensors tensors, StageReport finished)
    {
        using var sequential = new SequentialStage(stage, plan, tensors, streams!, options with { ErrorRows = 0 }, cancellation);
        sequential.Replay(module => sink.Read(module) ?? throw new QuantizationException(
            $"{module.Name}: the interrupted run has finished {stage.Name} but not written this module; start again with an empty folder."),
            finished.KeyValues, () => schedule.Ran(resumed: true, 0.5));
        return finished;
    }

    /// <summary>A stage nothing happens to, or nothing more.</summary>
    void Forward(StageLoader stage, StageTensors tensors, StageReport? finished)
    {
        var loaded = stage.Load(new Weights(tensors));
        using var nothing = new ObservedInputs(stage.Scope, _ => false, keptRows: 0);
        var replayed = plan.SeesRounding && finished is not null;
        if (replayed)
            streams!.Part();
        Forward(streams!.Original, loaded, nothing, finished is not null);
        if (!streams.Apart)
            return;
        if (replayed)
            loaded = stage.Load(new Weights(tensors, Rounded(tensors, stage,
                module => finished!.Modules.Where(report => report.Name == module.Name)
                    .Max(report => Math.Max(report.TextAmax ?? 0, report.VisionAmax ?? 0)),
                attention => finished!.KeyValues.FirstOrDefault(report => report.Attention == attention) ?? new KeyValueReport(attention, 0, 0))));
        Forward(streams.Quantized, loaded, nothing, finished is not null);
    }

    /// <summary>The modules of a stage with inputs and caches rounded as far as the plan's search is to see it, and weights as they are.</summary>
    RoundedInputs Rounded(StageTensors tensors, StageLoader stage, Func<PlannedModule, float> amax, Func<string, KeyValueReport> cache)
    {
        var planned = plan.SeesRoundedInputs ? ModulesOf(stage).ToDictionary(module => module.Name) : [];
        return new RoundedInputs(new DenseModules(tensors),
            name => planned.TryGetValue(name, out var module) && module.Scheme!.Activation is { } format
                ? (format, format.NeedsAmax ? format.Scale(amax(module)) : 1) : null,
            attention => plan.Recipe.KeyValues is { } format ? QuantizedKeyValues.Of(cache(attention).Scales(format), format) : null);
    }

    void Forward(ActivationStore passes, IStage stage, ObservedInputs inputs, bool resumed, ObservedKeyValues? keyValues = null)
    {
        for (var i = 0; i < passes.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            var pass = passes.Take(i);
            keyValues?.Begin(pass, passes.Batch(i));
            foreach (var step in stage.Steps)
            {
                inputs.Observe(step, pass, i);
                step.Advance(pass);
            }
            pass.Logits?.Dispose();
            pass.Logits = null;
            passes.Return(i, pass);
            schedule.Ran(resumed, streams!.Apart ? 0.5 : 1);
        }
    }

    StageReport Finish(
        StageLoader stage, TimeSpan forward, TimeSpan quantizing, IReadOnlyList<ModuleReport> modules, IReadOnlyList<KeyValueReport> caches)
    {
        var report = new StageReport(
            stage.Name, forward.TotalSeconds, quantizing.TotalSeconds, ProcessMemory.PeakBytes, modules, caches);
        writes.Finish(stage.Name, JsonSerializer.SerializeToUtf8Bytes(report, ReportJson.Default.StageReport));
        return report;
    }
}
