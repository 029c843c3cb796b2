using Nibble.Quant.Formats;

namespace Nibble.Export.Verification;

/// <summary>Opens a written checkpoint again and holds it to the rules of the program that is to load it.</summary>
public static class CheckpointVerifier
{
    /// <summary>More findings of one rule than this say nothing new.</summary>
    const int MostPerRule = 20;

    static readonly (string Name, Func<VerifiedCheckpoint, IEnumerable<Finding>> Check)[] Rules =
    [
        ("configs-present", ConfigRules.Present),
        ("configs-agree", ConfigRules.Agree),
        ("algorithm-accepted", ConfigRules.AlgorithmAccepted),
        ("fields-present", ConfigRules.FieldsPresent),
        ("cache-accepted", ConfigRules.CacheAccepted),
        ("index-consistent", TensorRules.IndexConsistent),
        ("layers-complete", TensorRules.LayersComplete),
        ("shapes-and-types", TensorRules.ShapesAndTypes),
        ("group-divides", TensorRules.GroupDivides),
        ("excluded-plain", TensorRules.ExcludedPlain),
        ("all-covered", TensorRules.AllCovered),
        ("no-leftover", TensorRules.NoLeftover),
        ("cache-scales", TensorRules.CacheScales),
        ("cache-biases", TensorRules.CacheBiases),
        ("scales-positive", ValueRules.ScalesPositive),
        ("block-scales-valid", ValueRules.BlockScalesValid),
        ("codes-are-numbers", ValueRules.CodesAreNumbers),
        ("plain-finite", ValueRules.PlainFinite),
        ("fused-formats-equal", FusedRules.FormatsEqual),
        ("fused-scales-equal", FusedRules.ScalesEqual),
        ("pre-quant-scale", FusedRules.PreQuantScale),
    ];

    /// <summary>The names of all rules.</summary>
    public static IReadOnlyList<string> RuleNames { get; } = ["readable", .. Rules.Select(rule => rule.Name)];

    /// <summary>Why a target would not load a checkpoint in these formats, one sentence a reason; nothing when it would.</summary>
    public static IReadOnlyList<string> Refusals(Target target, IEnumerable<Scheme> schemes, KeyValueFormat? keyValues) =>
        [.. ConfigRules.Refusals(target, [.. schemes.DistinctBy(scheme => scheme.Name)], keyValues)];

    /// <returns>Nothing when the target can load the checkpoint as far as its rules are known here.</returns>
    public static IReadOnlyList<Finding> Verify(string folder, Target target)
    {
        try
        {
            using var opened = CheckpointFolder.Open(folder);
            var checkpoint = new VerifiedCheckpoint(opened, target);
            return [.. Rules.SelectMany(rule => rule.Check(checkpoint).Take(MostPerRule))];
        }
        catch (CheckpointException e)
        {
            return [new Finding(e.Tensor ?? e.Path, "readable", "a checkpoint that can be opened", e.Message)];
        }
    }
}
