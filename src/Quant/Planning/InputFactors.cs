using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant.Planning;

/// <summary>
/// Where the factors go that an algorithm puts on the inputs of modules, as in checkpoints of ModelOpt 0.47: AWQ's into the norm
/// before, where all modules behind that norm have them; of NVFP4 also into the rows of <c>up_proj</c>; all others are stored.
/// </summary>
static class InputFactors
{
    /// <summary>Networks in which ModelOpt folds the factors of <c>down_proj</c> into <c>up_proj</c>.</summary>
    static readonly string[] FoldIntoProducers = ["llama", "qwen3"];

    /// <summary>The modules with what the algorithm of the recipe adds to them.</summary>
    public static List<PlannedModule> Assign(
        INetwork network, ITensorSource source, Recipe recipe, IReadOnlyList<PlannedModule> modules)
    {
        if (recipe.Algorithm is not (Algorithm.SmoothQuant or Algorithm.Awq or Algorithm.SvdQuant)
            || recipe is { Algorithm: Algorithm.Awq, Options.Awq: AwqMode.Clip })
            return [.. modules];
        var equalised = modules.Where(module => module.Scheme is { } scheme && Suitability.Suits(recipe, scheme))
            .ToDictionary(module => module.Name);
        var sources = network.Stages.SelectMany(stage => stage.Sources).ToList();
        return [.. modules.Select(module => !equalised.ContainsKey(module.Name) ? module : With(
            module, RankOf(module, recipe, equalised), recipe.Algorithm == Algorithm.Awq ? Place(module) : null))];

        string? Place(PlannedModule module)
        {
            if (sources.FirstOrDefault(from => from.Modules.Contains(module.Name)) is not { } from
                || !from.Modules.All(equalised.ContainsKey))
                return null;
            if (from.NormWeight is { } norm)
                return IsFactorOf(source.Find(norm), module) ? norm : null;
            return from.Producer is { } producer && FoldIntoProducers.Contains(network.ModelType)
                && module.Scheme!.Weight is Formats.NvFp4 && equalised.TryGetValue(producer, out var into)
                && into.Rows == module.Columns && source.Find(producer + ".bias") is null ? producer : null;
        }
    }

    /// <summary>Fused modules are taken apart together, so a group with a member that is too small stays whole.</summary>
    static int RankOf(PlannedModule module, Recipe recipe, Dictionary<string, PlannedModule> equalised) =>
        recipe.Algorithm == Algorithm.SvdQuant && module.Group.Where(equalised.ContainsKey).Select(name => equalised[name])
            .All(member => Math.Min(member.Rows, member.Columns) >= recipe.Options.Rank) ? recipe.Options.Rank : 0;

    static PlannedModule With(PlannedModule module, int rank, string? foldedInto) => module with
    {
        Scheme = module.Scheme! with { PreQuantScale = true, LowRank = rank },
        LowRank = rank,
        KeepsPreQuantScale = foldedInto is null,
        FoldedInto = foldedInto,
    };

    static bool IsFactorOf(TensorSpec? norm, PlannedModule module) =>
        norm is { DType: DType.F32 or DType.F16 or DType.BF16 } && norm.Shape == new Shape(module.Columns);
}
