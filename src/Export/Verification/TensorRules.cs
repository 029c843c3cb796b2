using Nibble.Export.Layouts;
using Nibble.Tensors;

namespace Nibble.Export.Verification;

/// <summary>Rules on which tensors there are, and on their shapes and types.</summary>
static class TensorRules
{
    static readonly string[] ScaleEndings =
        [".weight_scale", ".weight_scale_2", ".input_scale", ".pre_quant_scale", ".k_scale", ".v_scale", ".weight_scale_inv"];

    /// <summary>The index and the shards say the same.</summary>
    public static IEnumerable<Finding> IndexConsistent(VerifiedCheckpoint checkpoint) =>
        checkpoint.Folder.Warnings.Select(warning =>
            new Finding("index", "index-consistent", "an index that fits its files", warning));

    /// <summary>Every quantized module has all the tensors of its format.</summary>
    public static IEnumerable<Finding> LayersComplete(VerifiedCheckpoint checkpoint)
    {
        foreach (var (module, format) in checkpoint.Quantized)
            foreach (var tensor in format.Specs(module, format.RowPairs ? 2 : 1, Math.Max(format.Group, 2)))
                if (checkpoint.Spec(tensor.Name) is null)
                    yield return new(tensor.Name, "layers-complete", $"a tensor {tensor.DType.Name()} of {format.Algorithm}",
                        "none");
        foreach (var module in checkpoint.Description?.Layers?.Keys ?? [])
            if (checkpoint.Spec($"{module}.weight") is null)
                yield return new(module, "layers-complete", "a weight, for it is a quantized layer", "none");
    }

    /// <summary>Tensors have the shapes and types of their format. A scalar may be [] or [1].</summary>
    public static IEnumerable<Finding> ShapesAndTypes(VerifiedCheckpoint checkpoint)
    {
        foreach (var (module, format) in checkpoint.Quantized)
        {
            if (checkpoint.Spec($"{module}.weight") is not { } weight)
                continue;
            if (weight.Shape.Rank != 2)
            {
                yield return new(weight.Name, "shapes-and-types", "a matrix", $"{weight.Shape}");
                continue;
            }
            var (rows, columns) = format.Unpacked(weight.Shape);
            foreach (var expected in format.Specs(module, rows, columns))
                if (checkpoint.Spec(expected.Name) is { } found && !ModelOptFormat.Same(expected, found))
                    yield return new(found.Name, "shapes-and-types", $"{expected.Shape} {expected.DType.Name()}",
                        $"{found.Shape} {found.DType.Name()}");
        }
    }

    /// <summary>The group divides the inputs.</summary>
    public static IEnumerable<Finding> GroupDivides(VerifiedCheckpoint checkpoint)
    {
        foreach (var (module, format) in checkpoint.Quantized)
            if (checkpoint.Spec($"{module}.weight") is { Shape.Rank: 2 } weight
                && format.Unpacked(weight.Shape) is var (rows, columns)
                && format.Refuse(rows, columns) is { } reason)
                yield return new(module, "group-divides", $"inputs in groups of {format.Group}", reason);
    }

    /// <summary>Excluded and unlisted modules hold plain numbers.</summary>
    public static IEnumerable<Finding> ExcludedPlain(VerifiedCheckpoint checkpoint)
    {
        if (checkpoint.Description is not { } description || ConfigIsForeign(checkpoint))
            return [];
        return checkpoint.Modules.Where(module => checkpoint.HasCodes(module) && description.FormatOf(module) is null)
            .Select(module => new Finding(module, "excluded-plain", "plain numbers, for the description leaves it out",
                checkpoint.Spec($"{module}.weight") is { } weight ? $"{weight.Shape} {weight.DType.Name()}" : "scales"));
    }

    /// <summary>Every matrix is quantized or excluded: a program expects codes wherever it is not told otherwise.</summary>
    public static IEnumerable<Finding> AllCovered(VerifiedCheckpoint checkpoint)
    {
        if (checkpoint.Description is not { Layers: null } description)
            yield break;
        foreach (var module in checkpoint.Modules)
            if (!checkpoint.HasCodes(module) && checkpoint.Spec($"{module}.weight") is { Shape.Rank: 2 } weight
                && description.FormatOf(module) is { } format && !module.Contains("embed", StringComparison.Ordinal))
                yield return new(module, "all-covered", $"codes of {format.Algorithm}, or an entry among the excluded",
                    $"{weight.Shape} {weight.DType.Name()}");
    }

    /// <summary>No scale without the codes it belongs to, and none the format does not have.</summary>
    public static IEnumerable<Finding> NoLeftover(VerifiedCheckpoint checkpoint)
    {
        if (ConfigIsForeign(checkpoint))
            yield break;
        var known = checkpoint.Quantized.SelectMany(pair => pair.Format.Specs(pair.Module, 2, Math.Max(pair.Format.Group, 2)))
            .Select(tensor => tensor.Name).ToHashSet();
        foreach (var name in checkpoint.Folder.Shards.SelectMany(shard => shard.Entries).Select(entry => entry.Name))
        {
            if (name.Contains("_quantizer.", StringComparison.Ordinal)
                && !(ModelOptExtras.IsLowRank(name) && checkpoint.HasCodes(ModelOptExtras.ModuleOf(name))))
                yield return new(name, "no-leftover", "no internal state of a quantizer", "such a tensor");
            var ending = ScaleEndings.FirstOrDefault(ending => name.EndsWith(ending, StringComparison.Ordinal));
            if (ending is null || known.Contains(name)
                || ending is ".k_scale" or ".v_scale" && checkpoint.Description?.KeyValues is not null
                || ending == ".pre_quant_scale" && checkpoint.HasCodes(name[..^ending.Length]))
                continue;
            yield return new(name, "no-leftover", "a scale that belongs to a quantized module", "a scale nothing uses");
        }
    }

    /// <summary>A quantized cache has the scales of keys and values of a layer both or neither (then they are 1).</summary>
    public static IEnumerable<Finding> CacheScales(VerifiedCheckpoint checkpoint)
    {
        foreach (var attention in checkpoint.Folder.Tensors.Select(tensor => Attention(tensor.Name)).OfType<string>().Distinct())
            foreach (var name in new[] { $"{attention}.k_proj.k_scale", $"{attention}.v_proj.v_scale" })
                if (checkpoint.Spec(name) is not { DType: DType.F32, Shape.Elements: 1 })
                    yield return new(name, "cache-scales", "one F32 number beside that of its sibling",
                        checkpoint.Spec(name) is { } found ? $"{found.Shape} {found.DType.Name()}" : "none");
    }

    /// <summary>Another layout's description: what its tensors should be is not known here.</summary>
    static bool ConfigIsForeign(VerifiedCheckpoint checkpoint) =>
        checkpoint.Description is null
        || checkpoint.Description is { Algorithm: { } algorithm, Layers: null } && ModelOptFormat.Find(algorithm) is null;

    static string? Attention(string name) =>
        name.EndsWith(".k_proj.k_scale", StringComparison.Ordinal) ? name[..^".k_proj.k_scale".Length]
        : name.EndsWith(".v_proj.v_scale", StringComparison.Ordinal) ? name[..^".v_proj.v_scale".Length] : null;
}
