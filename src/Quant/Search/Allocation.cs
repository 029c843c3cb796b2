using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Quant.Search;

/// <summary>What may be spent on a checkpoint: bits per weight of the searched scopes, or bytes of its weight files.</summary>
/// <param name="EffectiveBits">Mean bits of all linear modules of the scopes, those that stay as they are counted with 16; or null.</param>
/// <param name="Bytes">Size of all safetensors files together; or null.</param>
/// <param name="ScopeBits">Mean bits of a scope of its own.</param>
public sealed record SizeLimit(double? EffectiveBits, long? Bytes, IReadOnlyDictionary<Scope, double> ScopeBits)
{
    public static SizeLimit OfBits(double bits) => new(bits, null, new Dictionary<Scope, double>());

    public static SizeLimit OfBytes(long bytes) => new(null, bytes, new Dictionary<Scope, double>());
}

/// <summary>Scores and costs of one search space, put as a knapsack: schemes are chosen and become a recipe.</summary>
public sealed class Allocation
{
    /// <summary>The name of the candidate that leaves modules as they are.</summary>
    public const string Skip = "skip";

    /// <summary>A rounding of the product of a limit and a number of weights.</summary>
    const double Rounding = 1e-6;

    readonly SearchSpace space;
    readonly SizeLimit limit;
    readonly List<ChoiceGroup> groups;

    /// <exception cref="QuantizationException">The scores are not those of this space.</exception>
    public Allocation(SearchSpace space, IReadOnlyList<GroupScores> scores, SizeLimit limit)
    {
        (this.space, this.limit) = (space, limit);
        var byName = scores.ToDictionary(group => group.Name);
        groups = [.. space.Groups.Select(group => new ChoiceGroup(group.Name, SearchSpace.Part(group.Scope),
        [
            .. group.Schemes.Select(scheme => new Candidate(scheme.Name, Cost(group, scheme), Score(byName, group, scheme))),
            new Candidate(Skip, Cost(group, null), 0),
        ]))];
        Budget = new Budget(
            limit.Bytes is { } bytes ? bytes - space.OtherBytes : Bits(space.Groups, limit.EffectiveBits!.Value),
            limit.ScopeBits.ToDictionary(scope => SearchSpace.Part(scope.Key), scope => PartLimit(scope.Key, scope.Value)));
    }

    /// <summary>The knapsack's groups: costs in bits, or in bytes for a limit in bytes.</summary>
    public IReadOnlyList<ChoiceGroup> Groups => groups;

    public Budget Budget { get; }

    /// <summary>The best choice within the limit.</summary>
    /// <exception cref="QuantizationException">Nothing fits.</exception>
    public Selection Solve() => Knapsack.Solve(groups, Budget);

    /// <summary>The corners of the trade-off between size and damage.</summary>
    public IReadOnlyList<Selection> Front() => Knapsack.Front(groups, Budget.Parts);

    /// <summary>Why nothing can fit, or null.</summary>
    public string? Obstacle()
    {
        foreach (var part in Budget.Parts)
            if (Knapsack.LeastCost(groups.Where(group => group.Part == part.Key)) is var least && least > part.Value)
                return $"{part.Key} needs at least {Describe(least, part.Key)}; {Describe(part.Value, part.Key)} are allowed.";
        return Knapsack.LeastCost(groups) is var all && all > Budget.Total
            ? $"These formats need at least {Describe(all, null)}; {Describe(Budget.Total, null)} are allowed." : null;
    }

    /// <summary>Mean bits of the searched modules, counted as ModelOpt does.</summary>
    public double EffectiveBits(Selection selection) =>
        (double)space.Groups.Select((group, i) => group.Bits(Scheme(group, selection.Choices[i]))).Sum() / space.Groups.Sum(group => group.Elements);

    /// <summary>Bytes of the weight files.</summary>
    public long Bytes(Selection selection) =>
        space.OtherBytes + space.Groups.Select((group, i) => group.Bytes(Scheme(group, selection.Choices[i]))).Sum();

    /// <summary>The scheme of each group; null for staying as it is.</summary>
    public IEnumerable<(SearchGroup Group, Scheme? Scheme)> Schemes(Selection selection) =>
        space.Groups.Select((group, i) => (group, Scheme(group, selection.Choices[i])));

    /// <summary>Rules that give every module its scheme: the most frequent one of each scope first, then the exceptions by name.</summary>
    public Recipe Recipe(Selection selection)
    {
        var rules = new List<Rule>();
        var exceptions = new List<Rule>();
        var never = Planning.Recipe.NeverByDefault.Select(pattern => new Rule(new Glob(pattern), null)).ToList();
        foreach (var scope in Schemes(selection).GroupBy(choice => choice.Group.Scope))
        {
            var usual = scope.Where(choice => choice.Scheme is not null).GroupBy(choice => choice.Scheme).MaxBy(same => same.Count())?.Key;
            if (usual is not null)
                rules.Add(new Rule(new Glob("*"), usual, scope.Key));
            foreach (var (group, scheme) in scope.Where(choice => choice.Scheme != usual))
                exceptions.AddRange(group.Modules.Where(module => scheme is not null || !never.Any(rule => rule.Modules.Matches(module.Name)))
                    .Select(module => new Rule(new Glob(module.Name), scheme)));
        }
        return new Recipe([.. rules, .. never, .. exceptions]);
    }

    static Scheme? Scheme(SearchGroup group, int choice) => choice < group.Schemes.Count ? group.Schemes[choice] : null;

    static long Bits(IEnumerable<SearchGroup> groups, double bits) => (long)Math.Floor(groups.Sum(group => group.Elements) * bits + Rounding);

    static double Score(Dictionary<string, GroupScores> scores, SearchGroup group, Scheme scheme)
    {
        if (!scores.TryGetValue(group.Name, out var known))
            throw new QuantizationException($"There are no scores of {group.Name}; they were taken of another model or other scopes.");
        if (!known.Modules.SequenceEqual(group.Modules.Select(module => module.Name)))
            throw new QuantizationException($"The scores of {group.Name} are of {string.Join(", ", known.Modules)}; " +
                $"expected {string.Join(", ", group.Modules.Select(module => module.Name))}.");
        return known.Scores.TryGetValue(scheme.Name, out var score) ? score
            : throw new QuantizationException($"{group.Name} has no score for {scheme}; known: {string.Join(", ", known.Scores.Keys)}.");
    }

    long Cost(SearchGroup group, Scheme? scheme) => limit.Bytes is null ? group.Bits(scheme) : group.Bytes(scheme);

    /// <summary>In bytes a module may have two scales of the whole matrix beside its bits.</summary>
    long PartLimit(Scope scope, double bits)
    {
        var members = space.Groups.Where(group => group.Scope == scope).ToList();
        return limit.Bytes is null ? Bits(members, bits) : Bits(members, bits) / 8 + members.Sum(group => group.Modules.Count) * 2L * sizeof(float);
    }

    string Describe(long cost, string? part)
    {
        if (limit.Bytes is not null)
            return $"{cost + (part is null ? space.OtherBytes : 0):N0} bytes";
        var elements = space.Groups.Where(group => part is null || SearchSpace.Part(group.Scope) == part).Sum(group => group.Elements);
        return string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{(double)cost / Math.Max(1, elements):0.####} bits per weight");
    }
}
