using Nibble.Export.Layouts;
using Nibble.Tensors;

namespace Nibble.Export.Verification;

/// <summary>Rules on which tensors there are, and on their shapes and types.</summary>
static class TensorRules
{
    static readonly string[] ScaleEndings =
        [".weight_scale", ".weight_scale_2", ".input_scale", ".pre_quant_scale", ".k_scale", ".v_scale", ".k_proj.k_bias", ".v_proj.v_bias",
            ".weight_scale_inv"];

    /// <summary>The index and the shards say the same.</summary>
    public static IEnumerable<Finding> IndexConsistent(VerifiedCheckpoint checkpoint) =>
        checkpoint.Folder.Warnings.Select(warning =>
            new Finding("index", "index-consistent", "an index that fits its files", warning));

    /// <summary>Every quantized module has all the tensors of its format.</summary>
    public static IEnumerable<Finding> LayersComplete(VerifiedCheckpoint checkpoint)
    {
        foreach (var (module, format) in checkpoint.Quantized)
            foreach (var tensor in Needed(module, format))
                if (checkpoint.Spec(tensor.Name) is null)
                    yield return new(tensor.Name, "layers-complete", $"a tensor {tensor.DType.Name()} of {format.Algorithm}",
                        "none");
        foreach (var module in checkpoint.Description?.Layers?.Keys ?? [])
            if (checkpoint.Spec($"{module}.weight") is null)
                yield return new(module, "layers-complete", "a weight, for it is a quantized layer", "none");
    }

    static IEnumerable<TensorSpec> Needed(string module, ModelOptFormat format)
    {
        var extras = new ModelOptExtras(DType.F32, PreQuantScale: false, format.LowRank ? 1 : 0);
        var needed = format.MayLackInputScale ? format with { InputScale = false } : format;
        return needed.Specs(module, 2, Math.Max(format.Group, 2)).Concat(extras.Specs(module, 2, Math.Max(format.Group, 2)));
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
            var extras = ModelOptExtras.Found(module, checkpoint.Spec).Specs(module, rows, columns);
            foreach (var expected in format.Specs(module, rows, columns).Concat(extras))
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
            var extra = ModelOptExtras.IsExtra(name) ? Of(ModelOptExtras.ModuleOf(name)) : null;
            if (name.Contains("_quantizer.", StringComparison.Ordinal) && !(ModelOptExtras.IsLowRank(name) && extra is { LowRank: true }))
                yield return new(name, "no-leftover", "no internal state of a quantizer", "such a tensor");
            var ending = ScaleEndings.FirstOrDefault(ending => name.EndsWith(ending, StringComparison.Ordinal));
            if (ending is null || known.Contains(name)
                || ending is ".k_scale" or ".v_scale" or ".k_proj.k_bias" or ".v_proj.v_bias" && checkpoint.Description?.KeyValues is not null
                || extra is { PreQuantScale: not false })
                continue;
            yield return new(name, "no-leftover", "a scale that belongs to a quantized module", "a scale nothing uses");
        }

        ModelOptFormat? Of(string module) => checkpoint.HasCodes(module) ? checkpoint.Description?.FormatOf(module) : null;
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

    /// <summary>A centred cache has biases of keys and values of a layer in one shape, [1, heads, 1, d].</summary>
    public static IEnumerable<Finding> CacheBiases(VerifiedCheckpoint checkpoint)
    {
        foreach (var attention in checkpoint.Folder.Tensors.Select(tensor => Attention(tensor.Name)).OfType<string>().Distinct())
        {
            string[] names = [$"{attention}.k_proj.k_bias", $"{attention}.v_proj.v_bias"];
            var shape = names.Select(checkpoint.Spec).FirstOrDefault(bias => bias is not null)?.Shape;
            if (shape is null && checkpoint.Description?.KeyValues != "NVFP4_AFFINE")
                continue;
            foreach (var name in names)
                if (checkpoint.Spec(name) is not { DType: DType.F32, Shape: { Rank: 4 } found } || found[0] != 1 || found[2] != 1
                    || found != shape)
                    yield return new(name, "cache-biases", "[1, heads, 1, d] F32 as its sibling",
                        checkpoint.Spec(name) is { } other ? $"{other.Shape} {other.DType.Name()}" : "none");
        }
    }

    /// <summary>Another layout's description: what its tensors should be is not known here.</summary>
    static bool ConfigIsForeign(VerifiedCheckpoint checkpoint) =>
        checkpoint.Description is null
        || checkpoint.Description is { Algorithm: { } algorithm, Layers: null } && ModelOptFormat.Find(algorithm) is null;

    static string? Attention(string name) =>
        name.EndsWith(".k_proj.k_scale", StringComparison.Ordinal) ? name[..^".k_proj.k_scale".Length]
        : name.EndsWith(".v_proj.v_scale", StringComparison.Ordinal) ? name[..^".v_proj.v_scale".Length] : null;
}
