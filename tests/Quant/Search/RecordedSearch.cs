using System.Text.Json;
using Nibble.Quant.Search;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Search;

/// <summary>One recorded run of ModelOpt's auto_quantize.</summary>
sealed class RecordedSearch
{
    static readonly JsonElement All = JsonDocument.Parse(
        File.ReadAllBytes(Repository.Fixture("modelopt/auto_quantize/scores.json"))).RootElement;

    readonly JsonElement run;

    public RecordedSearch(string name) => run = All.GetProperty(name);

    /// <summary>Runs that ended with a choice.</summary>
    public static IEnumerable<string> Chosen => All.EnumerateObject().Where(run => run.Value.TryGetProperty("best", out _)).Select(run => run.Name);

    public double EffectiveBits => run.GetProperty("effective_bits").GetDouble();

    /// <summary>Why there is none; null where there is a choice.</summary>
    public string? Status => run.TryGetProperty("status", out var status) ? status.GetString() : null;

    /// <summary>Scores and costs in sixteenths of a bit, as they were recorded.</summary>
    public List<ChoiceGroup> Groups => [.. run.GetProperty("groups").EnumerateObject().Select(group => new ChoiceGroup(group.Name, "",
        [.. Texts(group.Value, "formats").Zip(Numbers(group.Value, "costs"), Numbers(group.Value, "scores"))
            .Select(entry => new Candidate(entry.First, (long)entry.Second, entry.Third))]))];

    /// <summary>The recorded score of a group, named by its first module, in the format of this index.</summary>
    public double Score(string module, int format) => Numbers(run.GetProperty("groups").GetProperty(module + ".quant_recipe"), "scores")[format];

    public List<string> Modules(string module) => Texts(run.GetProperty("groups").GetProperty(module + ".quant_recipe"), "modules");

    public int GroupCount => run.GetProperty("groups").EnumerateObject().Count();

    /// <summary>The format chosen for a group.</summary>
    public string Choice(string group) => run.GetProperty("best").GetProperty("recipe").GetProperty(group).GetString()!;

    public double BestScore => run.GetProperty("best").GetProperty("score").GetDouble();

    public double BestBits => run.GetProperty("best").GetProperty("constraints").GetProperty("effective_bits").GetDouble();

    static List<string> Texts(JsonElement of, string name) => [.. of.GetProperty(name).EnumerateArray().Select(entry => entry.GetString()!)];

    static List<double> Numbers(JsonElement of, string name) => [.. of.GetProperty(name).EnumerateArray().Select(entry => entry.GetDouble())];
}
