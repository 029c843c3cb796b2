using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Nibble.Cli.Output;
using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Tensors;

namespace Nibble.Cli.Runs;

/// <summary>What a run produced.</summary>
sealed record QuantizeResult(string Output, RunReport Report, string Target, Verdict Verdict);

/// <summary>Plans, quantizes, writes, reports and verifies: the main job with everything joined.</summary>
sealed class QuantizeRun(ModelFolder model, Recipe recipe, RunOptions options, string output, bool overwrite, string command)
{
    /// <summary>Share of the work that is copying what stays as it is, for the progress display.</summary>
    const double CopyShare = 0.05;

    /// <summary>More unused tensors than this are counted, not listed.</summary>
    const int MostNamed = 5;

    /// <summary>How the recipe was found, for the report; null where the user gave it.</summary>
    public TradeOff? Search { get; init; }

    /// <summary>Further files for the folder.</summary>
    public IReadOnlyList<SideFile> Extra { get; init; } = [];

    public QuantizeResult Execute(ProgressDisplay display, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        OutputFolder.Check(output, model.Path, overwrite);
        var plan = model.Plan(recipe, out var unused);
        options.Target.Check(plan);
        if (plan.Problems.Count > 0)
            throw new QuantizationException(string.Join("\n", plan.Problems));
        var data = plan.NeedsData ? CalibrationFiles.Open(model, plan, options) : null;
        var forecast = Forecasts.Of(model, plan, options, output, data);
        if (!forecast.Fits)
            throw new CannotFitException(string.Join("\n", forecast.Obstacles));

        using var writer = CheckpointWriter.Open(output, ModelOptSink.Declare(plan, model.Source, model.KeyValueBias), new CheckpointOptions
        {
            MaxShardBytes = options.MaxShardBytes,
            Fingerprint = Fingerprint.Of(model, recipe, data, options),
            Overwrite = overwrite,
            Source = model.Path,
        });
        var resumed = writer.Finished.Count > 0;
        CopyKept(writer, plan, display, cancellation);
        var spill = Path.Combine(output, ".nibble", "activations");
        if (Directory.Exists(spill))
            Directory.Delete(spill, recursive: true); // of a process that was killed; the writer keeps others out
        var quantizer = new Quantizer(model.Network, model.Source, plan, new QuantizerOptions(options.ActivationBudget, spill)
        {
            Statistics = data?.Statistics,
        });
        var stages = Quantize(quantizer, writer, plan, data?.Samples, display, cancellation);

        var report = Report(plan, data, stages, resumed, clock.Elapsed) with
        {
            PeakActivationBytes = quantizer.PeakActivationBytes,
            SpilledBytes = quantizer.SpilledBytes,
            Search = Search,
        };
        if (UnusedWarning(model, unused) is { } warning)
            report = report with { Warnings = [.. report.Warnings, warning] };
        writer.Complete(SideFiles(plan, report));
        var verdict = options.Target.Verify(output);
        return new QuantizeResult(output, report with { Warnings = [.. report.Warnings, .. verdict.Warnings] }, options.Target.Name, verdict);
    }

    /// <summary>Says which tensors the network does not use; null when it uses all.</summary>
    public static string? UnusedWarning(ModelFolder model, IReadOnlyList<string> unused) => unused.Count == 0 ? null
        : $"{model.Path}: {unused.Count} tensors that {model.Network.ModelType} does not use are copied as they are"
            + $"{(model.Rotation == Rotation.None ? "" : ", in a basis that fits the others no longer")}: " +
            string.Join(", ", unused.Take(MostNamed)) + (unused.Count > MostNamed ? ", …" : "");

    /// <summary>Says which modules saw no calibration token, all of them, for they are quantized blindly; null when all did.</summary>
    public static string? UnseenWarning(IReadOnlyList<string> modules) => modules.Count == 0 ? null
        : $"{modules.Count} {(modules.Count == 1 ? "module" : "modules")} saw no calibration token; a static input scale is that of the layer's other experts, " +
            $"or else covers the format's whole range (docs/calibration.md): {string.Join(", ", modules)}";

    IReadOnlyList<StageReport> Quantize(Quantizer quantizer, CheckpointWriter writer, Plan plan, ISampleSource? samples,
        ProgressDisplay display, CancellationToken cancellation)
    {
        try
        {
            return quantizer.Run(samples, new ModelOptSink(writer), new Direct<Progress>(progress =>
            {
                var done = CopyShare + (1 - CopyShare) * progress.Done;
                if (progress.Resumed)
                    display.Skip(done);
                display.Show(progress.Phase == Phase.Forward ? "calibrating" : "quantizing",
                    $"{progress.Stage} ({progress.StageIndex + 1} of {progress.StageCount})", done);
            }), cancellation);
        }
        catch (QuantizationException error) when (plan.Quantized.FirstOrDefault(module =>
            error.Message.StartsWith(module.Weight.Name + ":", StringComparison.Ordinal)) is { } module)
        {
            throw new CheckpointException(AskedTensors.FileOf(model.Files.Folder, module.Weight.Name), error.Message, inner: error);
        }
    }

    void CopyKept(CheckpointWriter writer, Plan plan, ProgressDisplay display, CancellationToken cancellation)
    {
        var total = Math.Max(1, plan.Copied.Sum(tensor => tensor.Bytes));
        long done = 0;
        foreach (var tensor in plan.Copied)
        {
            cancellation.ThrowIfCancellationRequested();
            if (!writer.Finished.Contains(tensor.Name))
                Copy(tensor.Name, writer);
            done += tensor.Bytes;
            display.Show("copying", tensor.Name, CopyShare * done / total);
        }
        writer.Checkpoint();
    }

    void Copy(string name, CheckpointWriter writer)
    {
        var tensor = model.Source.Load(name);
        writer.Write(name, tensor);
        if (tensor.Storage is NativeStorage)
            tensor.Dispose(); // rotated for this alone
        else
            tensor.Evict();
    }

    RunReport Report(Plan plan, CalibrationFiles? data, IReadOnlyList<StageReport> stages, bool resumed, TimeSpan elapsed)
    {
        var modules = stages.SelectMany(stage => stage.Modules).ToList();
        var warnings = model.Files.Folder.Warnings.ToList();
        if (plan.NeedsData && UnseenWarning([.. modules.Where(module => module.TextTokens + module.VisionTokens == 0).Select(module => module.Name)]) is { } unseen)
            warnings.Add(unseen);
        if (Fallbacks(modules) is { } fallbacks)
            warnings.Add(fallbacks);
        return new RunReport(
            $"nibble {Product.Version}", model.Path, model.Network.ModelType, DateTimeOffset.UtcNow,
            [
                new("recipe", recipe.Describe()),
                new("target", options.Target.Name),
                new("activation budget", Units.Bytes(options.ActivationBudget)),
                new("largest shard", Units.Bytes(options.MaxShardBytes)),
            ],
            data?.Path, (int)Math.Min(int.MaxValue, data?.Count ?? 0),
            modules.Select(module => module.TextTokens).DefaultIfEmpty(0).Max(), modules.Select(module => module.VisionTokens).DefaultIfEmpty(0).Max(),
            plan.BytesBefore, plan.BytesAfter, elapsed.TotalSeconds, stages.Select(stage => stage.PeakBytes).Append(ProcessMemory.PeakBytes).Max(),
            PeakActivationBytes: 0, SpilledBytes: 0, resumed, stages, plan.KeptModules, warnings);
    }

    /// <summary>Which modules did not get what was asked for; the report has the reasons of each.</summary>
    static string? Fallbacks(List<ModuleReport> modules)
    {
        var fallen = modules.Where(module => module.Notes.Any(note => note.EndsWith("rounded to nearest", StringComparison.Ordinal))).ToList();
        return fallen.Count == 0 ? null
            : $"{fallen.Count} of {modules.Count} modules were rounded to nearest instead, like {fallen[0].Name}: {fallen[0].Notes[0]}.";
    }

    IEnumerable<SideFile> SideFiles(Plan plan, RunReport report) =>
    [
        .. Extra,
        .. model.Files.Folder.SideFiles.Where(IsPartOfModel).Select(name => SideFile.Copy(model.Path, name)),
        .. ModelOptLayout.Configs(model.Files.Folder, [.. plan.Quantized.Select(module => (module.Name, module.Scheme!))], recipe.KeyValues, ownHead: model.OwnHead),
        SideFile.Of("README.md", Encoding.UTF8.GetBytes(ModelCard.Write(report, recipe, command))),
        SideFile.Of("report.json", JsonSerializer.SerializeToUtf8Bytes(report, RunReportJson.Default.RunReport)),
        SideFile.Of("report.html", Encoding.UTF8.GetBytes(HtmlReport.Render(report))),
    ];

    /// <summary>
    /// Data beside a model (calib.jsonl, eval.jsonl) names pictures that are not taken along, and the model card and an old report say
    /// things that do not hold for the new checkpoint.
    /// </summary>
    static bool IsPartOfModel(string name) => !name.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase)
        && !name.Equals("README.md", StringComparison.OrdinalIgnoreCase) && name is not ("report.json" or "report.html" or ChoiceRun.ScoresName);
}
