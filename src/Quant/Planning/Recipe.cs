using Nibble.Models;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;

namespace Nibble.Quant.Planning;

/// <summary>One line of a recipe: which modules get which scheme. Of the rules that match a module the last one decides.</summary>
/// <param name="Modules">A pattern on full module names.</param>
/// <param name="Scheme">Null to leave the modules as they are.</param>
/// <param name="Scope">Restricts the rule to one part of the network; null for all.</param>
public sealed record Rule(Glob Modules, Scheme? Scheme, Scope? Scope = null)
{
    public bool Matches(string module, Scope scope) => (Scope is null || Scope == scope) && Modules.Matches(module);
}

/// <summary>What is to be done to a checkpoint.</summary>
/// <param name="Rules">In order; the last match wins. A module no rule matches is left as it is.</param>
/// <param name="KeyValues">Format of cached keys and values, or null.</param>
public sealed record Recipe(IReadOnlyList<Rule> Rules, Algorithm Algorithm = Algorithm.Max, KeyValueFormat? KeyValues = null)
{
    /// <summary>Settings of the algorithm.</summary>
    public AlgorithmOptions Options { get; init; } = AlgorithmOptions.Default;

    /// <summary>How the range of static activation scales is found.</summary>
    public ActivationRange Range { get; init; } = ActivationRange.Max;

    /// <summary>What happens to the weights before; whoever plans with it gives the checkpoint in that basis.</summary>
    public Rotation Rotation { get; init; } = Rotation.None;

    /// <summary>Left in high precision unless a later rule says otherwise: no runtime loads a quantized head.</summary>
    public static readonly IReadOnlyList<string> NeverByDefault = ["*lm_head*"];

    /// <summary>One scheme for whole scopes, without the head and without <paramref name="exclude"/>.</summary>
    public static Recipe Uniform(
        Scheme? scheme, IEnumerable<Scope> scopes, IEnumerable<string> exclude,
        Algorithm algorithm = Algorithm.Max, KeyValueFormat? keyValues = null)
    {
        var rules = scheme is null ? [] : scopes.Select(scope => new Rule(new Glob("*"), scheme, scope)).ToList();
        rules.AddRange(NeverByDefault.Concat(exclude).Select(pattern => new Rule(new Glob(pattern), null)));
        return new Recipe(rules, algorithm, keyValues);
    }

    /// <summary>The rule that decides about a module, or null.</summary>
    public Rule? Deciding(string module, Scope scope) => Rules.LastOrDefault(rule => rule.Matches(module, scope));

    /// <summary>Whether the algorithm needs data, whatever the formats need.</summary>
    public bool NeedsData => Algorithm.Entry().NeedsData
        || (Algorithm == Algorithm.Max && Options.Scales is ScaleChoice.LocalHessian or ScaleChoice.Importance);

    /// <summary>The recipe as one line, for fingerprints and reports.</summary>
    public string Describe() => string.Join("; ", Rules
        .Select(rule => $"{(rule.Scope is { } scope ? $"{scope.ToString().ToLowerInvariant()}:" : "")}{rule.Modules}={rule.Scheme?.Name ?? "skip"}")
        .Append($"algorithm={Algorithm.Entry().Name}")
        .Concat(Options.Describe(Algorithm).Select(option => $"{option.Name}={option.Value}"))
        .Concat(Range == ActivationRange.Max ? [] : (string[])[$"range={Range}"])
        .Concat(Rotation == Rotation.None ? [] : (string[])[$"rotation={Words.Of(Rotation)}"])
        .Append($"kv={KeyValues?.Name ?? "none"}"));
}
