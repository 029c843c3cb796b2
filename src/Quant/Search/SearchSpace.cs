using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Quant.Search;

/// <summary>Modules that get one scheme: those that runtimes fuse, or a single one.</summary>
/// <param name="Name">Its first module.</param>
/// <param name="Schemes">What it can become, in the order asked for; empty where it stays as it is.</param>
public sealed record SearchGroup(string Name, string Stage, Scope Scope, IReadOnlyList<PlannedModule> Modules, IReadOnlyList<Scheme> Schemes)
{
    /// <summary>What a module costs that stays as it is, whatever it is stored in: as ModelOpt counts.</summary>
    const double Unquantized = 16;

    /// <summary>Whether its modules do not all end in outputs of their own: experts, whose sum is what counts.</summary>
    public bool IsMixture => SearchSpace.Experts(Name) is not null;

    public long Elements => Modules.Sum(module => (long)module.Rows * module.Columns);

    /// <summary>Bytes on disk; null for staying as it is.</summary>
    public long Bytes(Scheme? scheme) => Modules.Sum(module =>
        (module with { Scheme = scheme }).BytesAfter + (scheme is { NeedsData: true } ? sizeof(float) : 0));

    /// <summary>Bits as ModelOpt counts them: codes, and the scales of blocks that hardware reads; null for staying as it is.</summary>
    public long Bits(Scheme? scheme) => (long)Math.Round(Elements * BitsPerWeight(scheme));

    static double BitsPerWeight(Scheme? scheme) => scheme is null ? Unquantized
        : scheme.Weight.CodeBits + (scheme.Weight is { Group: > 0, ScaleType: { } scale } && scale.Bytes() == 1 ? 8.0 / scheme.Weight.Group : 0);
}

/// <summary>Everything a search can decide.</summary>
/// <param name="Groups">In running order, those that are fixed included.</param>
/// <param name="OtherBytes">Bytes of the checkpoint's tensors that are no module of a group.</param>
public sealed record SearchSpace(IReadOnlyList<SearchGroup> Groups, long OtherBytes)
{
    /// <summary>Bytes of a safetensors header per tensor, its name apart; a quantized module has four tensors at most.</summary>
    const int HeaderBytes = 120, TensorsPerModule = 4;

    /// <summary>The part of <see cref="ChoiceGroup"/> a scope is.</summary>
    public static string Part(Scope scope) => scope.ToString().ToLowerInvariant();

    /// <summary>
    /// The prefix of a layer's experts, which runtimes run as one kernel in one format; null where a module is none. ModelOpt groups them
    /// by the same words.
    /// </summary>
    internal static string? Experts(string module) =>
        module.IndexOf(".experts.", StringComparison.Ordinal) is var at and >= 0 ? module[..(at + ".experts".Length)] : null;

    /// <param name="schemes">The candidates; staying as it is always is one.</param>
    /// <param name="exclude">Patterns of modules that stay as they are.</param>
    /// <exception cref="QuantizationException">A pattern matches nothing, or no module of the scopes can be quantized.</exception>
    public static SearchSpace Create(
        INetwork network, ITensorSource source, IReadOnlyList<Scheme> schemes, IReadOnlyList<Scope> scopes, IReadOnlyList<string> exclude)
    {
        // A plan knows the modules, the groups, and which of them a recipe never touches.
        var plan = Plan.Create(network, source, Recipe.Uniform(schemes[0], scopes, exclude));
        if (plan.Problems.FirstOrDefault(problem => problem.Contains("matches no module", StringComparison.Ordinal)) is { } problem)
            throw new QuantizationException(problem);
        var groups = plan.Modules.Where(module => scopes.Contains(module.Scope)).GroupBy(module => Experts(module.Name) ?? module.Group[0]).Select(group =>
        {
            var members = group.ToList();
            var isFixed = members.Exists(module => module.Scheme is null || module.Weight.Shape.Rank != 2
                || module.Weight.DType is not (DType.F32 or DType.F16 or DType.BF16));
            return new SearchGroup(members[0].Name, members[0].Stage, members[0].Scope, members,
                isFixed ? [] : [.. schemes.Where(scheme => members.TrueForAll(module => scheme.Weight.Refuse(module.Rows, module.Columns) is null))]);
        }).ToList();
        if (!groups.Exists(group => group.Schemes.Count > 0))
            throw new QuantizationException("No module can be quantized: nothing is left to choose.");
        return new SearchSpace(groups, source.Tensors.Sum(tensor => tensor.Bytes) - groups.Sum(group => group.Modules.Sum(module => module.Weight.Bytes))
            + source.Tensors.Sum(tensor => tensor.Name.Length + HeaderBytes)
            + groups.Sum(group => group.Modules.Sum(module => (long)TensorsPerModule * (module.Name.Length + HeaderBytes))));
    }
}
