using System.Globalization;
using Nibble.Export.Layouts;

namespace Nibble.Export.Verification;

/// <summary>Rules on modules that programs fuse into one matrix.</summary>
static class FusedRules
{
    /// <summary>Siblings that get one matrix. Expert names w1 and w3 are gate and up.</summary>
    static readonly string[][] Fused =
    [
        ["q_proj", "k_proj", "v_proj"],
        ["gate_proj", "up_proj"],
        ["w1", "w3"],
        ["q_a_proj", "kv_a_proj_with_mqa"],
    ];

    /// <summary>Fused modules have one format.</summary>
    public static IEnumerable<Finding> FormatsEqual(VerifiedCheckpoint checkpoint)
    {
        foreach (var (first, other) in Pairs(checkpoint))
        {
            var (expected, found) = (FormatOf(checkpoint, first), FormatOf(checkpoint, other));
            if (expected?.Algorithm != found?.Algorithm)
                yield return new(other, "fused-formats-equal", $"{expected?.Algorithm ?? "plain"} as {first}", found?.Algorithm
                    ?? "plain");
        }
    }

    /// <summary>
    /// Fused modules with a scale of the whole matrix in two levels share it, and the input scale: programs take the one of the
    /// first or the largest without rescaling, or refuse. FP8 need not: its codes are rounded again at load.
    /// </summary>
    public static IEnumerable<Finding> ScalesEqual(VerifiedCheckpoint checkpoint)
    {
        foreach (var (first, other) in Pairs(checkpoint))
            if (FormatOf(checkpoint, first) is { SecondScale: true } && FormatOf(checkpoint, other) is { SecondScale: true })
                foreach (var scale in new[] { "weight_scale_2", "input_scale" })
                    if (checkpoint.Scalar($"{first}.{scale}") is { } expected
                        && checkpoint.Scalar($"{other}.{scale}") is { } found
                        && expected != found)
                        yield return new($"{other}.{scale}", "fused-scales-equal", $"{Text(expected)} as {first}", Text(found));
    }

    /// <summary>TensorRT-LLM's W4A16_AWQ multiplies the inputs of every module it does not fuse with a stored vector.</summary>
    public static IEnumerable<Finding> PreQuantScale(VerifiedCheckpoint checkpoint)
    {
        if (checkpoint.Target != Target.TensorRtLlm)
            yield break;
        foreach (var (module, format) in checkpoint.Quantized)
            if (format.NamesAwq && !Fused.Take(2).Any(group => group.Contains(Leaf(module)))
                && checkpoint.Spec($"{module}.pre_quant_scale") is null)
                yield return new($"{module}.pre_quant_scale", "pre-quant-scale", "a vector of input factors", "none");
    }

    static IEnumerable<(string First, string Other)> Pairs(VerifiedCheckpoint checkpoint)
    {
        var modules = checkpoint.Modules.ToHashSet();
        foreach (var module in checkpoint.Modules)
            if (Fused.FirstOrDefault(group => group[0] == Leaf(module)) is { } group)
                foreach (var sibling in group[1..].Select(leaf => module[..^group[0].Length] + leaf).Where(modules.Contains))
                    yield return (module, sibling);
    }

    static ModelOptFormat? FormatOf(VerifiedCheckpoint checkpoint, string module) =>
        checkpoint.HasCodes(module) ? checkpoint.Description?.FormatOf(module) : null;

    static string Leaf(string module) => module[(module.LastIndexOf('.') + 1)..];

    static string Text(float value) => value.ToString("R", CultureInfo.InvariantCulture);
}
