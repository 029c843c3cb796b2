using System.Security.Cryptography;
using Nibble.Export.Safetensors;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Cli.Runs;

/// <summary>Statistics in a safetensors file: tensors, and one JSON string in its metadata.</summary>
/// <param name="Run">What the file was marked with, for parts of a calibration that may be continued; null for none.</param>
sealed record StatisticsFile(SafetensorsFile Tensors, StoredStatistics Statistics, string? Run) : IDisposable
{
    const string RunKey = "nibble_run";

    /// <exception cref="Export.CheckpointException">No safetensors file.</exception>
    /// <exception cref="QuantizationException">It holds no statistics; names the file.</exception>
    public static StatisticsFile Open(string path)
    {
        var file = SafetensorsFile.Open(path);
        try
        {
            var json = file.Metadata.GetValueOrDefault(StatisticsInfo.Key)
                ?? throw new QuantizationException($"{path}: no statistics; `{Product.Call} calibrate` writes some.");
            return new StatisticsFile(file, new StoredStatistics(file, json, path), file.Metadata.GetValueOrDefault(RunKey));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Statistics instead of data, held to a model and a plan.</summary>
    /// <exception cref="UsageException">There is no such file.</exception>
    /// <exception cref="QuantizationException">They are of another model, or lack something; names it.</exception>
    public static CalibrationFiles For(ModelFolder model, Plan plan, string path)
    {
        if (!File.Exists(path))
            throw new UsageException($"--stats {path}: no such file.");
        var stored = Open(path).Statistics;
        if (stored.Info.OtherModel(Fingerprint.Fields(model)) is { } field)
            throw new QuantizationException($"{path}: statistics of another model: {field.Name} is '{field.Mine}' there and '{field.Theirs}' here.");
        if (RequiredStatistics.Missing(plan, stored).ToList() is [var problem, .. var more])
            throw new QuantizationException(problem + (more.Count > 0 ? $" {more.Count} more are missing." : ""));
        RequiredStatistics.Check(plan, stored);
        using var stream = File.OpenRead(path);
        return new CalibrationFiles(new SampleList([]), path, System.Convert.ToHexStringLower(SHA256.HashData(stream))) { Statistics = stored };
    }

    /// <summary>Writes statistics of several parts without holding more than one module's.</summary>
    public static void Write(string path, JoinedStatistics statistics)
    {
        var specs = new List<TensorSpec>();
        statistics.ForEach((name, tensor) => specs.Add(new TensorSpec(name, tensor.DType, tensor.Shape)));
        using var writer = SafetensorsWriter.Create(path, specs, Metadata(statistics.Info, null));
        statistics.ForEach(writer.Write);
        writer.Complete();
    }

    /// <summary>Writes what was learned of one stage.</summary>
    public static void Write(string path, StageStatistics stage, StatisticsInfo info, string run)
    {
        var tensors = stage.ToTensors().ToList();
        using var writer = SafetensorsWriter.Create(
            path, [.. tensors.Select(entry => new TensorSpec(entry.Name, entry.Tensor.DType, entry.Tensor.Shape))], Metadata(info, run));
        foreach (var (name, tensor) in tensors)
            writer.Write(name, tensor);
        writer.Complete();
    }

    public void Dispose() => Tensors.Dispose();

    static Dictionary<string, string> Metadata(StatisticsInfo info, string? run)
    {
        var metadata = new Dictionary<string, string> { [StatisticsInfo.Key] = info.ToJson() };
        if (run is not null)
            metadata[RunKey] = run;
        return metadata;
    }
}
