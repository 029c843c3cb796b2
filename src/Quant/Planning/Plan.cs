using Nibble.Models;
using Nibble.Quant.Algorithms.Rotation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Planning;

/// <summary>One linear module and what will happen to it.</summary>
/// <param name="Weight">Its weight tensor as stored.</param>
/// <param name="Stage">The stage that loads it.</param>
/// <param name="Scheme">Null when it stays as it is.</param>
/// <param name="Reason">The pattern of the rule that decided, or why none did.</param>
/// <param name="Group">The modules it is fused with by runtimes, itself included; only itself when there are none.</param>
public sealed record PlannedModule(
    string Name, TensorSpec Weight, string Stage, Scope Scope, Scheme? Scheme, string Reason, IReadOnlyList<string> Group)
{
    public int Rows => (int)Weight.Shape[0];

    public int Columns => (int)(Weight.Shape.Elements / Weight.Shape[0]);

    /// <summary>Whether factors of its inputs are stored beside it, for nothing before it could take them.</summary>
    public bool KeepsPreQuantScale { get; init; }

    /// <summary>The rank of what is stored beside its codes, or 0.</summary>
    public int LowRank { get; init; }

    /// <summary>
    /// What takes the factors of its inputs: the weight of the norm before it, or a module whose outputs its inputs follow; null where
    /// there are none or they are kept.
    /// </summary>
    public string? FoldedInto { get; init; }

    /// <summary>Bytes on disk afterwards, scales included.</summary>
    public long BytesAfter => Scheme is null ? Weight.Bytes
        : (long)Math.Ceiling(Rows * (double)Columns * Scheme.Weight.BitsPerWeight(Columns) / 8) + (Scheme.Weight.HasTensorScale ? 4 : 0)
            + Weight.DType.Bytes() * ((KeepsPreQuantScale ? Columns : 0) + (long)LowRank * (Rows + Columns));
}

/// <summary>A recipe applied to one checkpoint. Whatever can be wrong with it is known before the first byte of data is read.</summary>
/// <param name="Modules">Every linear module, in running order.</param>
/// <param name="KeptModules">Names of the modules that stay as they are, embeddings and convolutions included.</param>
/// <param name="Attentions">Attention modules whose keys and values get scales; empty without a cache format.</param>
/// <param name="Copied">Tensors that are written as the checkpoint that is quantized has them.</param>
/// <param name="Problems">Why the plan cannot be carried out; empty when it can.</param>
public sealed record Plan(
    Recipe Recipe,
    IReadOnlyList<PlannedModule> Modules,
    IReadOnlyList<string> KeptModules,
    IReadOnlyList<string> Attentions,
    IReadOnlyList<TensorSpec> Copied,
    IReadOnlyList<string> Problems)
{
    /// <summary>Tensors that keep shape and type and get other values: norms that take the factors of inputs.</summary>
    public IReadOnlyList<TensorSpec> Changed { get; init; } = [];

    public IEnumerable<PlannedModule> Quantized => Modules.Where(module => module.Scheme is not null);

    /// <summary>Whether calibration data must be seen.</summary>
    public bool NeedsData => Attentions.Count > 0 || Quantized.Any(module => Recipe.NeedsData || module.Scheme!.NeedsData);

    /// <summary>
    /// Whether weights are chosen by inputs as they are once the inputs of all modules before them are rounded, as ModelOpt does for
    /// <see cref="ScaleChoice.LocalHessian"/>: samples then run through every stage twice.
    /// </summary>
    public bool SeesRoundedInputs => Recipe is { Algorithm: Algorithm.Max, Options.Scales: ScaleChoice.LocalHessian }
        && Quantized.Any(module => module.Scheme!.Activation is not null);

    /// <summary>
    /// Whether the search of AWQ sees inputs as they are once keys and values are rounded, as ModelOpt's does: likewise twice.
    /// </summary>
    public bool SeesRoundedCaches => Recipe.KeyValues is not null && Recipe.Algorithm is Algorithm.Awq or Algorithm.SvdQuant
        && Quantized.Any(module => module.Scope == Scope.Language);

    public bool SeesRounding => SeesRoundedInputs || SeesRoundedCaches;

    public long BytesBefore => Kept + Quantized.Sum(module => module.Weight.Bytes);

    public long BytesAfter => Kept + Quantized.Sum(module => module.BytesAfter);

    long Kept => Copied.Concat(Changed).Sum(tensor => tensor.Bytes);

    /// <summary>Matches the recipe against every module of the network and checks each pair of tensor and format.</summary>
    public static Plan Create(INetwork network, ITensorSource source, Recipe recipe)
    {
        var problems = new List<string>();
        var modules = new List<PlannedModule>();
        foreach (var stage in network.Stages)
            foreach (var name in stage.Modules)
                if (Consider(name, stage, source, recipe, problems) is { } module)
                    modules.Add(module);

        if (!modules.Exists(module => module.Scheme is not null) && recipe.KeyValues is null)
            problems.Add("The recipe matches no module: nothing would be quantized.");
        CheckRules(recipe, modules, problems);
        CheckGroups(modules, problems);
        CheckExperts(network, modules, problems);
        CheckRange(recipe, modules, problems);
        if (recipe.Rotation == Rotation.Hadamard != source is RotatedSource)
            problems.Add($"The recipe's rotation is {Words.Of(recipe.Rotation)}, and the checkpoint is {(source is RotatedSource ? "rotated" : "not rotated")}.");
        problems.AddRange(Suitability.Problems(recipe, [.. modules.Select(module => module.Scheme).OfType<Scheme>()]));

        modules = InputFactors.Assign(network, source, recipe, modules);
        var folded = modules.Select(module => module.FoldedInto).ToHashSet();
        var changed = source.Tensors.Where(tensor => folded.Contains(tensor.Name)).ToList();
        var written = modules.Where(module => module.Scheme is not null).Select(module => module.Weight)
            .Concat(changed).Select(tensor => tensor.Name).ToHashSet();
        var copied = source.Tensors.Where(tensor => !written.Contains(tensor.Name)).ToList();
        var kept = copied.Where(tensor => tensor.Shape.Rank >= 2 && tensor.Name.EndsWith(".weight", StringComparison.Ordinal))
            .Select(tensor => tensor.Name[..^".weight".Length]).ToList();
        var attentions = recipe.KeyValues is null or { NeedsAmax: false } ? [] : network.Stages.SelectMany(stage => stage.Attentions).ToList();
        return new Plan(recipe, modules, kept, attentions, copied, problems) { Changed = changed };
    }

    /// <summary>The planned module of this name.</summary>
    public PlannedModule Find(string name) => Modules.First(module => module.Name == name);

    static PlannedModule? Consider(string name, StageLoader stage, ITensorSource source, Recipe recipe, List<string> problems)
    {
        var rule = recipe.Deciding(name, stage.Scope);
        if (source.Find(name + ".weight") is not { } weight)
            return null; // a tied head has no tensor of its own

        var group = stage.Groups.FirstOrDefault(members => members.Contains(name)) ?? [name];
        var module = new PlannedModule(name, weight, stage.Name, stage.Scope, rule?.Scheme, rule?.Modules.Pattern ?? "no rule", group);
        if (module.Scheme is { } scheme)
        {
            if (weight.Shape.Rank != 2)
                problems.Add($"{weight.Name}: {scheme} needs a matrix; found {weight.Shape}.");
            else if (weight.DType is not (DType.F32 or DType.F16 or DType.BF16))
                problems.Add($"{weight.Name}: {scheme} needs F32, F16 or BF16; found {weight.DType.Name()}.");
            else if (scheme.Weight.Refuse(module.Rows, module.Columns) is { } refusal)
                problems.Add($"{weight.Name}: {scheme} does not fit {weight.Shape}: {refusal}. Leave it out with --exclude '{name}'.");
        }
        return module;
    }

    /// <summary>A pattern that matches nothing is a typing error more often than an intention.</summary>
    static void CheckRules(Recipe recipe, List<PlannedModule> modules, List<string> problems)
    {
        foreach (var rule in recipe.Rules)
            if (!Recipe.NeverByDefault.Contains(rule.Modules.Pattern) && rule.Modules.Pattern != "*"
                && !modules.Exists(module => rule.Matches(module.Name, module.Scope)))
                problems.Add($"The pattern '{rule.Modules}' matches no module.");
    }

    static void CheckRange(Recipe recipe, List<PlannedModule> modules, List<string> problems)
    {
        if (recipe.Range == ActivationRange.Max)
            return;
        var schemes = modules.Select(module => module.Scheme).OfType<Scheme>().Distinct().ToList();
        if (recipe.Algorithm is not (Algorithm.Max or Algorithm.Rtn))
            problems.Add($"The range {recipe.Range} is for the algorithms max and rtn, not for {recipe.Algorithm.Entry().Name}.");
        else if (recipe is { Algorithm: Algorithm.Max, Options.Scales: ScaleChoice.LocalHessian })
            problems.Add($"The range {recipe.Range} and scales {Words.Of(recipe.Options.Scales)} exclude each other.");
        else if (!schemes.Exists(scheme => scheme.NeedsData))
            problems.Add($"The range {recipe.Range} is for static activation scales; this recipe has none.");
        foreach (var scheme in schemes.Where(scheme => scheme.NeedsData))
            if (recipe.Range.Refuse(scheme.Activation!) is { } reason)
                problems.Add($"The range {recipe.Range} is not for {scheme}: {reason}.");
    }

    /// <summary>Runtimes run all experts of a layer at once, so they need one scheme.</summary>
    static void CheckExperts(INetwork network, List<PlannedModule> modules, List<string> problems)
    {
        var schemes = modules.ToDictionary(module => module.Name, module => module.Scheme?.Name ?? "none");
        foreach (var experts in network.Stages.SelectMany(stage => stage.SharedInputs))
            if (experts.Where(schemes.ContainsKey).GroupBy(name => schemes[name]).ToList() is { Count: > 1 } different)
                problems.Add("Runtimes run the experts of a layer together, so they need one scheme: " +
                    string.Join(", ", different.Select(group => $"{group.First()} ({group.Key})")) + ".");
    }

    /// <summary>Runtimes store fused modules as one matrix, so all members need the same scheme.</summary>
    static void CheckGroups(List<PlannedModule> modules, List<string> problems)
    {
        var schemes = modules.ToDictionary(module => module.Name, module => module.Scheme?.Name ?? "none");
        foreach (var group in modules.Where(module => module.Group[0] == module.Name && module.Group.Count > 1).Select(module => module.Group))
            if (group.Where(schemes.ContainsKey).Select(name => schemes[name]).Distinct().Count() > 1)
                problems.Add("Runtimes fuse these modules, so they need one scheme: " +
                    string.Join(", ", group.Where(schemes.ContainsKey).Select(name => $"{name} ({schemes[name]})")) + ".");
    }
}
