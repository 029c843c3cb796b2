using System.Text.Json.Serialization;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Reports;

/// <summary>What happened to one module. Errors are ‖difference‖² / ‖original‖².</summary>
/// <param name="WeightError">Of the weight.</param>
/// <param name="TextError">Of the output on text tokens of the calibration data, activations rounded too; null without data.</param>
/// <param name="VisionError">The same on vision tokens.</param>
public sealed record ModuleReport(
    string Name, string Scope, string Scheme, int Rows, int Columns, long BytesBefore, long BytesAfter, double WeightError,
    double? TextError, double? VisionError, float? TextAmax, float? VisionAmax, long TextTokens, long VisionTokens)
{
    /// <summary>How much of the error of earlier modules was made up for, 0 to 1; null where none can be.</summary>
    public double? Alpha { get; init; }

    /// <summary>Share of vision in the choice of scales; null where it was not searched.</summary>
    public double? Mu { get; init; }

    /// <summary>What was added to the diagonal of the second moments, as a share of its mean; null where they were not used.</summary>
    public double? Damping { get; init; }

    /// <summary>What was done otherwise than asked, and why: dead inputs, fallbacks, scarce data.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}

/// <summary>What happened in one stage.</summary>
/// <param name="ForwardSeconds">Running the samples.</param>
/// <param name="QuantizeSeconds">Scales, codes, errors and writing.</param>
/// <param name="PeakBytes">The process' largest resident set so far.</param>
public sealed record StageReport(
    string Name, double ForwardSeconds, double QuantizeSeconds, long PeakBytes, IReadOnlyList<ModuleReport> Modules,
    IReadOnlyList<KeyValueReport> KeyValues);

/// <summary>What the cache scales of one attention module are made of.</summary>
/// <param name="KeyAmax">The largest magnitude that is rounded: of keys that are rotated or centred where the format does so.</param>
public sealed record KeyValueReport(string Attention, float KeyAmax, float ValueAmax)
{
    /// <summary>The mean of every channel, by head; null where the format has no biases.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<float[]>? KeyBias { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<float[]>? ValueBias { get; init; }

    public static KeyValueReport Of(string attention, KeyValueStatistics statistics, KeyValueFormat format) =>
        new(attention, statistics.KeyAmaxFor(format), statistics.ValueAmaxFor(format))
        {
            KeyBias = format.Centred ? statistics.KeyBias() : null,
            ValueBias = format.Centred ? statistics.ValueBias() : null,
        };

    public KeyValueScales Scales(KeyValueFormat format) => new(Attention, format.Scale(KeyAmax), format.Scale(ValueAmax))
    {
        KeyBias = Bias(KeyBias),
        ValueBias = Bias(ValueBias),
    };

    static Tensor? Bias(IReadOnlyList<float[]>? heads) =>
        heads is { Count: > 0 } ? Tensor.From(heads.SelectMany(head => head).ToArray(), 1, heads.Count, 1, heads[0].Length) : null;
}

/// <summary>Source-generated JSON of the reports.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(StageReport))]
public sealed partial class ReportJson : JsonSerializerContext;
