using System.Text.Json;
using System.Text.Json.Serialization;

namespace Nibble.Quant.Calibration;

/// <summary>One thing statistics are only valid for, and its value: <c>weights</c>, <c>config.json</c>, …</summary>
public sealed record ModelField(string Name, string Value);

/// <summary>Data that was run through the model at once.</summary>
/// <param name="Fingerprint">A hash of the data.</param>
/// <param name="Path">Where it was.</param>
/// <param name="TextTokens">The most any module saw.</param>
public sealed record StatisticsShard(string Fingerprint, string Path, long Samples, long TextTokens, long VisionTokens);

/// <summary>Modules with the same inputs, whose statistics are kept under the first name.</summary>
/// <param name="Width">Inputs of each.</param>
/// <param name="Needs">What was gathered besides tokens and the largest magnitude.</param>
public sealed record StatisticsGroup(IReadOnlyList<string> Modules, int Width, StatisticNeeds Needs)
{
    [JsonIgnore]
    public string Name => Modules[0];
}

/// <summary>What belongs to statistics beside their numbers. In a file it is one JSON string under <see cref="Key"/>.</summary>
/// <param name="Version">Of the format.</param>
/// <param name="Model">What they are valid for.</param>
/// <param name="Shards">The data they were made from.</param>
/// <param name="Groups">All groups of modules that were watched, those no token reached included.</param>
/// <param name="Caches">All attention modules whose keys and values were watched.</param>
public sealed record StatisticsInfo(
    int Version, IReadOnlyList<ModelField> Model, IReadOnlyList<StatisticsShard> Shards,
    IReadOnlyList<StatisticsGroup> Groups, IReadOnlyList<string> Caches)
{
    /// <summary>The format this library reads and writes.</summary>
    public const int CurrentVersion = 1;

    /// <summary>The name of the metadata string.</summary>
    public const string Key = "nibble_statistics";

    [JsonIgnore]
    public long Samples => Shards.Sum(shard => shard.Samples);

    [JsonIgnore]
    public long TextTokens => Shards.Sum(shard => shard.TextTokens);

    [JsonIgnore]
    public long VisionTokens => Shards.Sum(shard => shard.VisionTokens);

    public string ToJson() => JsonSerializer.Serialize(this, StatisticsJson.Default.StatisticsInfo);

    /// <exception cref="QuantizationException">Not what <see cref="ToJson"/> writes, or of another version.</exception>
    public static StatisticsInfo Parse(string json, string origin)
    {
        StatisticsInfo? info;
        try
        {
            info = JsonSerializer.Deserialize(json, StatisticsJson.Default.StatisticsInfo);
        }
        catch (JsonException error)
        {
            throw new QuantizationException($"{origin}: the metadata '{Key}' is not as expected: {error.Message}", error);
        }
        if (info?.Version != CurrentVersion)
            throw new QuantizationException($"{origin}: statistics of version {CurrentVersion} expected, found version {info?.Version ?? 0}.");
        return info.Flaw() is { } flaw ? throw new QuantizationException($"{origin}: {flaw}.") : info;
    }

    /// <summary>Statistics of the same run, gathered stage by stage.</summary>
    /// <param name="parts">At least one; of one shard each.</param>
    public static StatisticsInfo OfStages(IReadOnlyList<StatisticsInfo> parts) => parts[0] with
    {
        Shards = [parts[0].Shards[0] with
        {
            TextTokens = parts.Max(part => part.TextTokens),
            VisionTokens = parts.Max(part => part.VisionTokens),
        }],
        Groups = [.. parts.SelectMany(part => part.Groups)],
        Caches = [.. parts.SelectMany(part => part.Caches)],
    };

    /// <summary>Statistics of several shards of data.</summary>
    /// <param name="origin">What these are called in errors.</param>
    /// <exception cref="QuantizationException">They are of other models, modules or kinds, or of the same data; names the field.</exception>
    public StatisticsInfo Merge(StatisticsInfo other, string origin, string otherOrigin)
    {
        if (OtherModel(other.Model) is { } field)
            throw Differ(field.Name, field.Mine, field.Theirs);
        var (watched, others) = (Describe(), other.Describe());
        foreach (var name in watched.Keys.Concat(others.Keys))
            if ((watched.GetValueOrDefault(name, "not watched"), others.GetValueOrDefault(name, "not watched")) is var (mine, theirs) && mine != theirs)
                throw Differ(name, mine, theirs);
        if (Shards.FirstOrDefault(shard => other.Shards.Any(one => one.Fingerprint == shard.Fingerprint)) is { } same)
            throw new QuantizationException($"{origin} and {otherOrigin} are both of {same.Path}: the same data would count twice.");
        return this with { Shards = [.. Shards, .. other.Shards] };

        QuantizationException Differ(string name, string mine, string theirs) =>
            new($"{origin} and {otherOrigin} cannot be merged: {name} is '{mine}' and '{theirs}'.");
    }

    /// <summary>The first thing these statistics are valid for and that another model has otherwise; null when there is none.</summary>
    public (string Name, string Mine, string Theirs)? OtherModel(IReadOnlyList<ModelField> model)
    {
        foreach (var name in Model.Concat(model).Select(field => field.Name).Distinct())
            if ((Value(Model, name), Value(model, name)) is var (mine, theirs) && mine != theirs)
                return (name, mine, theirs);
        return null;

        static string Value(IReadOnlyList<ModelField> fields, string name) =>
            fields.FirstOrDefault(field => field.Name == name)?.Value ?? "none";
    }

    /// <summary>What was gathered, by name.</summary>
    Dictionary<string, string> Describe() => Groups
        .Select(group => (group.Name, What: $"{group.Modules.Count} modules of {group.Width} inputs{string.Concat(group.Needs.Names().Select(need => ", " + need))}"))
        .Concat(Caches.Select(cache => (Name: cache, What: "a cache"))).ToDictionary(entry => entry.Name, entry => entry.What);

    /// <summary>What the record's type does not rule out; null when there is nothing.</summary>
    string? Flaw()
    {
        if (Model is null || Shards is null or [] || Groups is null || Caches is null)
            return "model, shards, groups and caches expected";
        if (Model.Any(field => field?.Name is null || field.Value is null) || Caches.Contains(null!))
            return "a field of the model or a cache has no name";
        if (Shards.Any(shard => shard?.Fingerprint is null || shard.Path is null))
            return "a shard of data has no fingerprint or no path";
        if (Shards.FirstOrDefault(shard => !IsCount(shard.Samples) || !IsCount(shard.TextTokens) || !IsCount(shard.VisionTokens)) is { } shard)
            return $"counts from 0 to 2^53 expected, found {shard}";
        if (Groups.Any(group => group?.Modules is null or [] || group.Modules.Contains(null!)))
            return "a group has no modules";
        if (Groups.FirstOrDefault(group => group.Width <= 0 || group.Needs is not { MomentBlock: >= 0, SampledTokens: >= 0 }) is { } strange)
            return $"{strange.Name} has {strange.Width} inputs and gathers {strange.Needs?.ToString() ?? "nothing"}";
        var seen = new HashSet<string>();
        return Groups.SelectMany(group => group.Modules).Concat(Caches).FirstOrDefault(name => !seen.Add(name)) is { } twice
            ? $"{twice} is there twice" : null;
    }

    /// <summary>Small enough that no sum of a file's worth of them overflows.</summary>
    static bool IsCount(long count) => count is >= 0 and <= 1L << 53;
}

/// <summary>Source-generated JSON of what belongs to statistics.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(StatisticsInfo))]
public sealed partial class StatisticsJson : JsonSerializerContext;
