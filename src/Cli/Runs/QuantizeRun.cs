using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Nibble.Cli.Commands;
using Nibble.Cli.Output;
using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Export.Verification;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;

namespace Nibble.Cli.Runs;

/// <summary>What a run produced.</summary>
sealed record QuantizeResult(string Output, RunReport Report, Target Target, IReadOnlyList<Finding> Findings);

/// <summary>Plans, quantizes, writes, reports and verifies: the main job with everything joined.</summary>
sealed class QuantizeRun(ModelFolder model, Recipe recipe, RunOptions options, string output, bool overwrite)
{
    /// <summary>Share of the work that is copying what stays as it is, for the progress display.</summary>
    const double CopyShare = 0.05;

    public QuantizeResult Execute(ProgressDisplay display, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        if (model.Files.Quantization is { } already)
            throw new CheckpointException(model.Path, $"already quantized ({already.Algorithm ?? "cache"}); give the original checkpoint");
        var plan = Plan.Create(model.Network, model.Files, recipe);
        if (plan.Problems.Count > 0)
            throw new QuantizationException(string.Join("\n", plan.Problems));
        var data = plan.NeedsData ? CalibrationFiles.Open(model, options) : null;
        var forecast = Forecasts.Of(model, plan, options, output, data);
        if (!forecast.Fits)
            throw new CannotFitException(string.Join("\n", forecast.Obstacles));

        using var writer = CheckpointWriter.Open(output, ModelOptSink.Declare(plan, model.Files), new CheckpointOptions
        {
            MaxShardBytes = options.MaxShardBytes,
            Fingerprint = Fingerprint.Of(model, recipe, data, options),
            Overwrite = overwrite,
            Source = model.Path,
        });
        var resumed = writer.Finished.Count > 0;
        CopyKept(writer, plan, display, cancellation);
        var (stages, spilled) = Quantize(writer, plan, data?.Samples, display, cancellation);

        var report = Report(plan, data, stages, spilled, resumed, clock.Elapsed);
        writer.Complete(SideFiles(plan, report));
        var findings = CheckpointVerifier.Verify(output, options.Target);
        return new QuantizeResult(output, report, options.Target, findings);
    }

    void CopyKept(CheckpointWriter writer, Plan plan, ProgressDisplay display, CancellationToken cancellation)
    {
        var total = Math.Max(1, plan.Copied.Sum(tensor => tensor.Bytes));
        long done = 0;
        foreach (var tensor in plan.Copied)
        {
            cancellation.ThrowIfCancellationRequested();
            if (!writer.Finished.Contains(tensor.Name))
                writer.Write(tensor.Name, model.Files.Load(tensor.Name));
            model.Files.Load(tensor.Name).Evict();
            done += tensor.Bytes;
            display.Show("copying", tensor.Name, CopyShare * done / total);
        }
        writer.Checkpoint();
    }

    (IReadOnlyList<StageReport> Stages, long Spilled) Quantize(
        CheckpointWriter writer, Plan plan, ISampleSource? samples, ProgressDisplay display, CancellationToken cancellation)
    {
        var quantizer = new Quantizer(model.Network, model.Files, plan,
            new QuantizerOptions(options.ActivationBudget, Path.Combine(output, ".nibble", "activations")));
        var stages = quantizer.Run(samples, new ModelOptSink(writer), new Direct<Progress>(progress =>
        {
            var done = CopyShare + (1 - CopyShare) * progress.Done;
            if (progress.Resumed)
                display.Skip(done);
            display.Show(progress.Phase == Phase.Forward ? "calibrating" : "quantizing",
                $"{progress.Stage} ({progress.StageIndex + 1} of {progress.StageCount})", done);
        }), cancellation);
        return (stages, quantizer.SpilledBytes);
    }

    RunReport Report(Plan plan, CalibrationFiles? data, IReadOnlyList<StageReport> stages, long spilled, bool resumed, TimeSpan elapsed)
    {
        var modules = stages.SelectMany(stage => stage.Modules).ToList();
        var warnings = model.Files.Folder.Warnings.ToList();
        warnings.AddRange(modules.Where(module => plan.NeedsData && module.TextTokens + module.VisionTokens == 0)
            .Select(module => $"{module.Name} saw no calibration token."));
        return new RunReport(
            $"nibble {DoctorCommand.Version}", model.Path, model.Network.ModelType, DateTimeOffset.UtcNow,
            [
                new("recipe", recipe.Describe()),
                new("target", options.Target.ToString()),
                new("activation budget", Units.Bytes(options.ActivationBudget)),
                new("largest shard", Units.Bytes(options.MaxShardBytes)),
            ],
            data?.Path, data?.Samples.Count ?? 0,
            modules.Select(module => module.TextTokens).DefaultIfEmpty(0).Max(), modules.Select(module => module.VisionTokens).DefaultIfEmpty(0).Max(),
            plan.BytesBefore, plan.BytesAfter, elapsed.TotalSeconds, ProcessMemory.PeakBytes, spilled, resumed, stages, plan.KeptModules, warnings);
    }

    IEnumerable<SideFile> SideFiles(Plan plan, RunReport report) =>
    [
        .. model.Files.Folder.SideFiles.Select(name => SideFile.Copy(model.Path, name)),
        .. ModelOptLayout.Configs(model.Files.Folder, [.. plan.Quantized.Select(module => (module.Name, module.Scheme!))], recipe.KeyValues),
        SideFile.Of("report.json", JsonSerializer.SerializeToUtf8Bytes(report, RunReportJson.Default.RunReport)),
        SideFile.Of("report.html", Encoding.UTF8.GetBytes(HtmlReport.Render(report))),
    ];
}
