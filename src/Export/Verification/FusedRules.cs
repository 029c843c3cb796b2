using System.Globalization;
using Nibble.Export.Layouts;
using Nibble.Tensors;

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

    /// <summary>
    /// TensorRT-LLM's W4A16_AWQ multiplies the inputs of every module it does not fuse with a stored vector, and takes the inputs of those
    /// it fuses as they are; its NVFP4_AWQ takes those of q, k and v so. Fused modules see one input, so their factors are equal.
    /// </summary>
    public static IEnumerable<Finding> PreQuantScale(VerifiedCheckpoint checkpoint)
    {
        foreach (var (first, other) in Pairs(checkpoint))
            if (FormatOf(checkpoint, first) is not null && FormatOf(checkpoint, other) is not null && !SameFactors(checkpoint, first, other))
                yield return new($"{other}.pre_quant_scale", "pre-quant-scale", $"the factors of {first}", "others");
        if (checkpoint.Target != Target.TensorRtLlm)
            yield break;
        foreach (var (module, format) in checkpoint.Quantized)
        {
            var ignored = format.Algorithm switch
            {
                "W4A16_AWQ" => Fused.Take(2).Any(group => group.Contains(Leaf(module))),
                "NVFP4_AWQ" => Fused[0].Contains(Leaf(module)),
                _ => false,
            };
            var found = checkpoint.Spec($"{module}.pre_quant_scale") is not null;
            if (ignored && found)
                yield return new($"{module}.pre_quant_scale", "pre-quant-scale", "none, for it is not read beside fused modules", "factors of inputs");
            else if (!ignored && !found && format.Algorithm == "W4A16_AWQ")
                yield return new($"{module}.pre_quant_scale", "pre-quant-scale", "a vector of input factors", "none");
        }
    }

    static bool SameFactors(VerifiedCheckpoint checkpoint, string first, string other)
    {
        var (one, two) = ($"{first}.pre_quant_scale", $"{other}.pre_quant_scale");
        if (checkpoint.Spec(one) is not { } a || checkpoint.Spec(two) is not { } b)
            return checkpoint.Spec(one) is null == checkpoint.Spec(two) is null;
        if (a.DType != b.DType || a.Shape != b.Shape || a.DType is not (DType.F32 or DType.BF16 or DType.F16))
            return a.DType == b.DType && a.Shape == b.Shape;
        var (x, y) = (new float[a.Shape.Elements], new float[a.Shape.Elements]);
        Tensors.Convert.ToF32(checkpoint.Folder.Load(one), 0, x);
        Tensors.Convert.ToF32(checkpoint.Folder.Load(two), 0, y);
        return x.AsSpan().SequenceEqual(y);
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
