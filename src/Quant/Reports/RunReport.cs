using System.Text.Json.Serialization;

namespace Nibble.Quant.Reports;

/// <summary>One setting of a run, as the user would write it.</summary>
public sealed record Setting(string Name, string Value);

/// <summary>Everything a run has to say afterwards: written as report.json, drawn as report.html.</summary>
/// <param name="Tool">Name and version.</param>
/// <param name="Calibration">Where the samples came from; null without data.</param>
/// <param name="TextTokens">Calibration tokens by modality.</param>
/// <param name="PeakBytes">Largest resident set of the process.</param>
/// <param name="PeakActivationBytes">Most activations there were between two stages, in memory.</param>
/// <param name="SpilledBytes">Activations written to disk by the last process of the run, because the budget was used up.</param>
public sealed record RunReport(
    string Tool, string Model, string ModelType, DateTimeOffset Finished, IReadOnlyList<Setting> Settings,
    string? Calibration, int Samples, long TextTokens, long VisionTokens,
    long BytesBefore, long BytesAfter, double Seconds, long PeakBytes, long PeakActivationBytes, long SpilledBytes, bool Resumed,
    IReadOnlyList<StageReport> Stages, IReadOnlyList<string> KeptModules, IReadOnlyList<string> Warnings)
{
    /// <summary>How the formats were chosen; null where the recipe said it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TradeOff? Search { get; init; }

    [JsonIgnore]
    public IEnumerable<ModuleReport> Modules => Stages.SelectMany(stage => stage.Modules);
}

/// <summary>Source-generated JSON of a whole report.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(RunReport))]
public sealed partial class RunReportJson : JsonSerializerContext;
