using System.Text.Json;
using Nibble.Models;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <param name="ActivationBudget">Bytes of hidden states kept in memory; more waits on disk.</param>
/// <param name="SpillFolder">Where it waits.</param>
/// <param name="ErrorRows">Input rows kept per module and modality to measure output errors with.</param>
/// <param name="Compensation">Other options than those of the recipe's sequential algorithm.</param>
public sealed record QuantizerOptions(
    long ActivationBudget, string SpillFolder, int ErrorRows = 128, CompensationOptions? Compensation = null)
{
    /// <summary>What an earlier run learned of the inputs: with it no sample is run.</summary>
    public StoredStatistics? Statistics { get; init; }
}

/// <summary>
/// Carries out a plan stage by stage. Every sample runs through the stage in full precision while its modules are watched, then the
/// modules become codes and go to the sink, then the stage is dropped; a sequential algorithm carries the samples through the quantized
/// stage as well. Without anything to learn from data no sample is run at all.
/// </summary>
public sealed class Quantizer(INetwork network, ITensorSource source, Plan plan, QuantizerOptions options)
{
    readonly HashSet<string> stagesWithModules = [.. plan.Quantized.Select(module => module.Stage)];

    /// <summary>Whether samples are run through the network.</summary>
    readonly bool runs = plan.NeedsData && options.Statistics is null;

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
        if (runs && samples is null or { Count: 0 })
            throw new QuantizationException("The formats of this plan need calibration data; none was given.");

        var stages = LastNeeded();
        if (stages.Count == 0)
            return []; // nothing but a cache whose scale is constant
        var finished = stages.Where(Mentioned).ToDictionary(stage => stage.Name, stage => sink.FinishedNote(stage.Name));
        var schedule = new Schedule(stages, source, plan, samples?.Count ?? 0, progress);
        using var streams = runs ? new Streams(network, samples!, options) : null;
        using var readAhead = new ReadAhead(stages, source);
        using var writes = new WriteBehind(sink);
        var run = new StageRun(plan, source, options, streams, sink, writes, schedule, cancellation);
        var reports = new List<StageReport>();
        for (var i = 0; i < stages.Count; i++)
        {
            schedule.Begin(stages[i]);
            readAhead.Begin(i);
            var earlier = finished.GetValueOrDefault(stages[i].Name) is { } note
                ? JsonSerializer.Deserialize(note, ReportJson.Default.StageReport) : null;
            if (run.Run(stages[i], earlier, Mentioned(stages[i]), last: i == stages.Count - 1) is { } report)
                reports.Add(report);
            if (earlier is not null)
                schedule.Skip();
            cancellation.ThrowIfCancellationRequested();
        }
        writes.Complete();
        (PeakActivationBytes, SpilledBytes) = (streams?.PeakBytes ?? 0, streams?.SpilledBytes ?? 0);
        return reports;
    }

    /// <summary>With data: the stages up to the last one the plan mentions. Without: only those it mentions.</summary>
    List<StageLoader> LastNeeded()
    {
        if (!runs)
            return [.. network.Stages.Where(Mentioned)];
        var last = network.Stages.Select((stage, index) => Mentioned(stage) ? index : -1).Max();
        return [.. network.Stages.Take(last + 1)];
    }

    bool Mentioned(StageLoader stage) => stagesWithModules.Contains(stage.Name) || stage.Attentions.Any(plan.Attentions.Contains);
}
