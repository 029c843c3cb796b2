using System.Text.Json;
using System.Text.Json.Serialization;

namespace Nibble.Quant.Search;

/// <summary>The damage each scheme does to one group.</summary>
/// <param name="Scores">By the scheme's name.</param>
public sealed record GroupScores(string Name, string Scope, IReadOnlyList<string> Modules, IReadOnlyDictionary<string, double> Scores);

/// <summary>What a search measured: everything a choice needs, so that other budgets can be tried without running the model again.</summary>
/// <param name="Method"><c>gradient</c> or <c>kl</c>.</param>
/// <param name="Model">A hash of the model; scores of another one are refused.</param>
/// <param name="Data">A hash of the calibration data.</param>
public sealed record Sensitivities(
    string Tool, string Method, string Model, string Data, int Samples, long Tokens, IReadOnlyList<GroupScores> Groups)
{
    /// <exception cref="QuantizationException">The text is no such file, or a number in it is no score.</exception>
    public static Sensitivities Parse(ReadOnlySpan<byte> json, string path)
    {
        Sensitivities? read;
        try
        {
            read = JsonSerializer.Deserialize(json, SensitivitiesJson.Default.Sensitivities);
        }
        catch (JsonException error)
        {
            throw new QuantizationException($"{path}: no file of sensitivities: {error.Message}", error);
        }
        if (read is null || read.Groups is null || read.Method is null
            || read.Groups.Any(group => group?.Name is null || group.Modules is null || group.Scores is null))
            throw new QuantizationException($"{path}: no file of sensitivities: method and groups with name, modules and scores expected.");
        foreach (var group in read.Groups)
            foreach (var (scheme, score) in group.Scores)
                if (!(score >= 0 && double.IsFinite(score)))
                    throw new QuantizationException($"{path}: {group.Name}: a score from 0 on expected for {scheme}, found {score}.");
        if (read.Groups.GroupBy(group => group.Name).FirstOrDefault(same => same.Count() > 1) is { } twice)
            throw new QuantizationException($"{path}: {twice.Key} is there more than once.");
        return read;
    }

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, SensitivitiesJson.Default.Sensitivities);
}

/// <summary>Source-generated JSON of a file of sensitivities.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(Sensitivities))]
public sealed partial class SensitivitiesJson : JsonSerializerContext;
