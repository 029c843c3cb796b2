namespace Nibble.Quant.Search;

/// <summary>One way to treat a group.</summary>
/// <param name="Name">The scheme, or <c>skip</c>.</param>
/// <param name="Cost">Bytes or bits, whatever the budget is counted in.</param>
/// <param name="Score">The damage done, at least 0.</param>
public sealed record Candidate(string Name, long Cost, double Score);

/// <summary>Modules that are treated alike: exactly one candidate is chosen.</summary>
/// <param name="Part">The part of the network whose own budget counts it; empty for none.</param>
public sealed record ChoiceGroup(string Name, string Part, IReadOnlyList<Candidate> Candidates);

/// <summary>What may be spent.</summary>
/// <param name="Total">By all groups together.</param>
/// <param name="Parts">By the groups of a part; a part that is not named has no limit of its own.</param>
public sealed record Budget(long Total, IReadOnlyDictionary<string, long> Parts)
{
    public Budget(long total) : this(total, new Dictionary<string, long>()) { }

    public long Of(string part) => Math.Min(Total, Parts.GetValueOrDefault(part, long.MaxValue));
}

/// <summary>One candidate for each group.</summary>
/// <param name="Choices">Indices into the candidates, group by group.</param>
/// <param name="LowerBound">No choice within the budget has a smaller score: proven, up to the rounding of sums.</param>
public sealed record Selection(IReadOnlyList<int> Choices, long Cost, double Score, double LowerBound)
{
    /// <summary>How much better another choice could be; 0 when this one is proven to be the best.</summary>
    public double Gap => Math.Max(0, Score - LowerBound);

    public static Selection Of(IReadOnlyList<ChoiceGroup> groups, IReadOnlyList<int> choices, double lowerBound)
    {
        long cost = 0;
        var score = 0.0;
        for (var i = 0; i < groups.Count; i++)
        {
            cost = checked(cost + groups[i].Candidates[choices[i]].Cost);
            score += groups[i].Candidates[choices[i]].Score;
        }
        return new Selection(choices, cost, score, Math.Min(lowerBound, score));
    }
}
