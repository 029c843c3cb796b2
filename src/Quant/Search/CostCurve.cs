namespace Nibble.Quant.Search;

/// <summary>One step down a curve: so much more cost for so much less score.</summary>
/// <param name="Group">Index of the group that takes the step.</param>
/// <param name="Candidate">Index of the candidate it arrives at.</param>
readonly record struct CurveStep(long Cost, double Gain, int Group, int Candidate)
{
    public double Slope => Gain / Cost;
}

/// <summary>
/// The least score for a cost when candidates may be mixed: convex, falling, made of straight steps, steepest first. Curves of groups
/// add up by sorting their steps together, which solves the relaxed problem (Dantzig's bound; Sinha and Zoltners 1979).
/// </summary>
sealed class CostCurve
{
    readonly CurveStep[] steps;
    readonly long[] costs;
    readonly double[] scores;

    CostCurve(long leastCost, double startScore, CurveStep[] steps)
    {
        this.steps = steps;
        costs = new long[steps.Length + 1];
        scores = new double[steps.Length + 1];
        (costs[0], scores[0]) = (leastCost, startScore);
        for (var i = 0; i < steps.Length; i++)
            (costs[i + 1], scores[i + 1]) = (checked(costs[i] + steps[i].Cost), scores[i] - steps[i].Gain);
    }

    public static CostCurve Empty { get; } = new(0, 0, []);

    public long LeastCost => costs[0];

    public long LargestCost => costs[^1];

    public IReadOnlyList<CurveStep> Steps => steps;

    /// <summary>The lower convex hull of a group's candidates, from the cheapest on.</summary>
    public static CostCurve Of(IReadOnlyList<Candidate> candidates, int group)
    {
        var hull = new List<int>();
        foreach (var next in Undominated(candidates))
        {
            while (hull.Count > 1 && !IsBelow(candidates[hull[^2]], candidates[hull[^1]], candidates[next]))
                hull.RemoveAt(hull.Count - 1);
            hull.Add(next);
        }
        return new CostCurve(candidates[hull[0]].Cost, candidates[hull[0]].Score,
            [.. hull.Zip(hull.Skip(1), (from, to) => new CurveStep(candidates[to].Cost - candidates[from].Cost,
                candidates[from].Score - candidates[to].Score, group, to))]);
    }

    /// <summary>Both together, the budget spent where it helps most.</summary>
    public static CostCurve Sum(IReadOnlyCollection<CostCurve> curves) => new(
        curves.Sum(curve => curve.costs[0]), curves.Sum(curve => curve.scores[0]),
        [.. curves.SelectMany(curve => curve.steps).OrderByDescending(step => step.Slope).ThenBy(step => step.Group)]);

    /// <summary>The sum without one of its curves.</summary>
    public CostCurve Without(CostCurve part, int group) =>
        new(costs[0] - part.costs[0], scores[0] - part.scores[0], [.. steps.Where(step => step.Group != group)]);

    /// <summary>The curve up to this cost. The last step may be part of one, so that it arrives at no candidate.</summary>
    public CostCurve Until(long limit)
    {
        var kept = new List<CurveStep>();
        for (var i = 0; i < steps.Length && costs[i] < limit; i++)
            kept.Add(costs[i + 1] <= limit ? steps[i] : steps[i] with
            {
                Cost = limit - costs[i],
                Gain = steps[i].Gain * ((double)(limit - costs[i]) / steps[i].Cost),
                Candidate = -1,
            });
        return new CostCurve(costs[0], scores[0], [.. kept]);
    }

    /// <summary>The least score for at most this cost; +∞ below <see cref="LeastCost"/>.</summary>
    public double Score(long cost)
    {
        if (cost < costs[0])
            return double.PositiveInfinity;
        var at = StepAt(cost);
        return at == steps.Length ? scores[^1] : scores[at] - steps[at].Gain * ((double)(cost - costs[at]) / steps[at].Cost);
    }

    /// <summary>How much of this cost is spent on a part of a step, beyond so many whole ones.</summary>
    public long Share(int whole, long cost) => Math.Max(0, cost - costs[whole]);

    /// <summary>Whole steps that fit into this cost.</summary>
    public int StepAt(long cost)
    {
        var at = Array.BinarySearch(costs, cost);
        return Math.Clamp(at >= 0 ? at : ~at - 1, 0, steps.Length);
    }

    /// <summary>The candidates by cost, without those that another is at most as costly as and at least as good.</summary>
    public static IEnumerable<int> Undominated(IReadOnlyList<Candidate> candidates)
    {
        var best = double.PositiveInfinity;
        foreach (var i in Enumerable.Range(0, candidates.Count).OrderBy(i => candidates[i].Cost).ThenBy(i => candidates[i].Score))
            if (candidates[i].Score < best)
            {
                best = candidates[i].Score;
                yield return i;
            }
    }

    /// <summary>Whether b lies below the line from a to c.</summary>
    static bool IsBelow(Candidate a, Candidate b, Candidate c) =>
        (a.Score - b.Score) * (c.Cost - a.Cost) > (a.Score - c.Score) * (b.Cost - a.Cost);
}
