using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Nibble.Cli.Output;
using Nibble.Models;
using Nibble.Quant;
using Nibble.Quant.Calibration;

namespace Nibble.Cli.Runs;

/// <summary>What a calibration is asked for.</summary>
/// <param name="Needs">Of a module and the width of its inputs.</param>
sealed record CalibrateRequest(Func<string, int, StatisticNeeds> Needs, string Output, bool Overwrite);

/// <summary>What a calibration gave.</summary>
sealed record CalibrateResult(string Output, StatisticsInfo Info, long Bytes, double Seconds, IReadOnlyList<string> Unseen);

/// <summary>
/// Runs data through a model once and keeps what was learned. Every stage goes to a file of its own beside the output at once, so that
/// an interrupted calibration gathers nothing twice; in the end they become one.
/// </summary>
sealed class CalibrateRun(ModelFolder model, RunOptions options, CalibrateRequest request)
{
    readonly string parts = request.Output + ".parts";

    /// <summary>Input rows kept of each modality, where some are wanted: as many as a direct run keeps.</summary>
    const int KeptRows = 128;

    public CalibrateResult Execute(ProgressDisplay display, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        if (Directory.Exists(request.Output))
            throw new UsageException($"--output {request.Output}: a file expected, found a folder.");
        if (File.Exists(request.Output) && !request.Overwrite)
            throw new UsageException($"--output {request.Output}: exists already; --overwrite replaces it.");
        model.CheckPlain();
        var data = CalibrationFiles.Open(model, options);
        CheckLimits();
        if (request.Overwrite && Directory.Exists(parts))
            Directory.Delete(parts, recursive: true);
        Directory.CreateDirectory(parts);
        var shard = new StatisticsShard(data.Fingerprint, Path.GetFileName(Path.TrimEndingDirectorySeparator(data.Path)), data.Samples.Count, 0, 0);
        Gather(data, new StatisticsInfo(StatisticsInfo.CurrentVersion, Fingerprint.Fields(model), [shard], [], []), display, cancellation);

        var stages = model.Network.Stages.Select((_, index) => StatisticsFile.Open(Part(index))).ToList();
        var joined = JoinedStatistics.OfStages([.. stages.Select(stage => stage.Statistics)]);
        StatisticsFile.Write(request.Output, joined);
        var unseen = stages.SelectMany(stage => stage.Statistics.Unseen()).ToList();
        stages.ForEach(stage => stage.Dispose());
        Directory.Delete(parts, recursive: true);
        return new CalibrateResult(request.Output, joined.Info, new FileInfo(request.Output).Length, clock.Elapsed.TotalSeconds, unseen);
    }

    /// <summary>About what the statistics of one modality take: all of them on disk, and those of the largest stage in memory.</summary>
    public (long Disk, long Memory) Sizes()
    {
        var stages = model.Network.Stages.Select(stage => Inputs(stage).Sum(entry => Bytes(entry.Module, entry.Width))).ToList();
        return (stages.Sum(), stages.DefaultIfEmpty(0).Max());
    }

    void Gather(CalibrationFiles data, StatisticsInfo info, ProgressDisplay display, CancellationToken cancellation)
    {
        var run = RunOf(info);
        var index = model.Network.Stages.Select((stage, place) => (stage.Name, place)).ToDictionary(pair => pair.Name, pair => pair.place);
        var spill = Path.Combine(parts, "activations");
        if (Directory.Exists(spill))
            Directory.Delete(spill, recursive: true); // of a process that was killed
        var calibrator = new Calibrator(model.Network, model.Source, request.Needs, new QuantizerOptions(options.ActivationBudget, spill, Rows));
        calibrator.Run(data.Samples, stage => IsFinished(Part(index[stage]), run), stage =>
        {
            // The vision tower sees patches, several to a token.
            var language = model.Network.LanguageStages.Any(loader => loader.Name == stage.Stage);
            var shard = info.Shards[0] with
            {
                TextTokens = language ? stage.Tokens(Modality.Text) : 0,
                VisionTokens = language ? stage.Tokens(Modality.Vision) : 0,
            };
            StatisticsFile.Write(Part(index[stage.Stage]), stage,
                info with { Shards = [shard], Groups = stage.Groups, Caches = [.. stage.Caches.Keys] }, run);
        }, new Direct<Progress>(progress =>
        {
            if (progress.Resumed)
                display.Skip(progress.Done);
            display.Show("calibrating", $"{progress.Stage} ({progress.StageIndex + 1} of {progress.StageCount})", progress.Done);
        }), cancellation);
    }

    string Part(int stage) => Path.Combine(parts, string.Create(CultureInfo.InvariantCulture, $"{stage:D4}.safetensors"));

    /// <summary>Whether this calibration has written a part already.</summary>
    /// <exception cref="UsageException">The part is of another one.</exception>
    bool IsFinished(string part, string run)
    {
        if (!File.Exists(part))
            return false;
        using var file = StatisticsFile.Open(part);
        return file.Run == run ? true
            : throw new UsageException($"{parts} holds a calibration of another model, other data or other statistics; --overwrite starts anew.");
    }

    /// <summary>What makes a calibration the same one: version, model, data and what is gathered.</summary>
    string RunOf(StatisticsInfo info)
    {
        var text = new StringBuilder($"{Product.Version};{info.ToJson()}");
        foreach (var (module, width) in model.Network.Stages.SelectMany(Inputs))
            text.Append(CultureInfo.InvariantCulture, $";{request.Needs(module, width)}");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    void CheckLimits()
    {
        var (disk, memory) = Sizes();
        var (free, available) = (OutputFolder.FreeBytes(request.Output), GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
        if (2 * disk > free) // the stages, then the whole
            throw new CannotFitException($"About {2 * disk:N0} bytes of statistics will be written and {free:N0} are free on that disk.");
        if (memory > available)
            throw new CannotFitException($"The statistics of one stage need about {memory:N0} bytes of memory and {available:N0} are there.");
    }

    /// <summary>One module of each group of fused ones, which have the same input.</summary>
    IEnumerable<(string Module, int Width)> Inputs(StageLoader stage) => stage.Modules
        .Where(module => stage.Groups.FirstOrDefault(group => group.Contains(module)) is not { } group || group[0] == module)
        .Select(module => (module, Spec: model.Source.Find(module + ".weight"))).Where(pair => pair.Spec is { Shape.Rank: 2 })
        .Select(pair => (pair.module, (int)pair.Spec!.Shape[1]));

    int Rows => model.Network.Stages.SelectMany(Inputs).Any(entry => request.Needs(entry.Module, entry.Width).Rows) ? KeptRows : 0;

    long Bytes(string module, int width) =>
        request.Needs(module, width) is var needs && needs.Rows ? needs.Bytes(width) + 4L * width * KeptRows : needs.Bytes(width);
}
