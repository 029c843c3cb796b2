using System.Text.Json.Serialization;

namespace Nibble.Quant.Reports;

/// <summary>What happened to one module. Errors are ‖difference‖² / ‖original‖².</summary>
/// <param name="WeightError">Of the weight.</param>
/// <param name="TextError">Of the output on text tokens of the calibration data, activations rounded too; null without data.</param>
/// <param name="VisionError">The same on vision tokens.</param>
public sealed record ModuleReport(
    string Name, string Scope, string Scheme, int Rows, int Columns, long BytesBefore, long BytesAfter, double WeightError,
    double? TextError, double? VisionError, float? TextAmax, float? VisionAmax, long TextTokens, long VisionTokens)
{
    /// <summary>What else there is to say: choices of a search, and what was not done and why.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}

/// <summary>What happened in one stage.</summary>
/// <param name="ForwardSeconds">Running the samples.</param>
/// <param name="QuantizeSeconds">Scales, codes, errors and writing.</param>
/// <param name="PeakBytes">The process' largest resident set so far.</param>
public sealed record StageReport(
    string Name, double ForwardSeconds, double QuantizeSeconds, long PeakBytes, IReadOnlyList<ModuleReport> Modules,
    IReadOnlyList<KeyValueReport> KeyValues);

/// <summary>The cache scales of one attention module.</summary>
public sealed record KeyValueReport(string Attention, float KeyAmax, float ValueAmax);

/// <summary>Source-generated JSON of the reports.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(StageReport))]
public sealed partial class ReportJson : JsonSerializerContext;
