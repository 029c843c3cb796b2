namespace Nibble.Quant.Search;

/// <summary>
/// The multiple-choice knapsack problem: one candidate per group, the sum of scores as small as possible, the sum of costs within a
/// budget, and those of the parts of the network within budgets of their own.
/// </summary>
public static class Knapsack
{
    /// <summary>Partial choices kept at a time unless told otherwise; with 300 groups some 500 MB at most.</summary>
    public const int MostStates = 1 << 15;

    /// <summary>Enough for a first good answer, against which the exact search cuts.</summary>
    const int FirstStates = 64;

    /// <summary>The best selection, and what is proven of it.</summary>
    /// <param name="mostStates">
    /// Partial choices kept at a time. Where it does not do, the least promising ones are given up and <see cref="Selection.Gap"/> says
    /// how much better they could have been.
    /// </param>
    /// <exception cref="QuantizationException">A group has no candidate, a number is no cost or score, or nothing fits the budget.</exception>
    public static Selection Solve(IReadOnlyList<ChoiceGroup> groups, Budget budget, int mostStates = MostStates)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(mostStates, 1);
        Check(groups);
        CheckBudget(groups, budget);
        var (first, bound) = new KnapsackSearch(groups, budget, double.PositiveInfinity, Math.Min(FirstStates, mostStates)).Run();
        var best = Selection.Of(groups, first!, bound);
        if (best.Gap == 0)
            return best;
        (var better, bound) = new KnapsackSearch(groups, budget, best.Score, mostStates).Run();
        return Selection.Of(groups, better ?? first!, Math.Max(bound, best.LowerBound));
    }

    /// <summary>
    /// Selections that no other one beats at their cost, cheapest first: the corners of the lower convex hull of all selections. Where
    /// a part has a budget of its own, those that keep it.
    /// </summary>
    public static IReadOnlyList<Selection> Front(IReadOnlyList<ChoiceGroup> groups, IReadOnlyDictionary<string, long> parts)
    {
        Check(groups);
        CheckBudget(groups, new Budget(long.MaxValue, parts));
        var curve = CostCurve.Sum([.. groups.Index().GroupBy(group => group.Item.Part).Select(part =>
            CostCurve.Sum([.. part.Select(group => CostCurve.Of(group.Item.Candidates, group.Index))])
                .Until(parts.GetValueOrDefault(part.Key, long.MaxValue)))]);
        var choices = groups.Select(group => CostCurve.Undominated(group.Candidates).First()).ToArray();
        var front = new List<Selection> { Selection.Of(groups, [.. choices], curve.Score(curve.LeastCost)) };
        foreach (var step in curve.Steps.Where(step => step.Candidate >= 0))
        {
            choices[step.Group] = step.Candidate;
            var next = Selection.Of(groups, [.. choices], 0);
            front.Add(next with { LowerBound = Math.Min(next.Score, curve.Score(next.Cost)) });
        }
        return front;
    }

    /// <summary>The least that can be spent.</summary>
    public static long LeastCost(IEnumerable<ChoiceGroup> groups) => groups.Sum(group => group.Candidates.Min(candidate => candidate.Cost));

    /// <summary>Every selection tried; null when none fits.</summary>
    internal static Selection? Definition(IReadOnlyList<ChoiceGroup> groups, Budget budget)
    {
        Selection? best = null;
        var choices = new int[groups.Count];
        do
        {
            var tried = Selection.Of(groups, [.. choices], double.PositiveInfinity);
            if (Fits(groups, choices, budget) && (best is null || tried.Score < best.Score))
                best = tried;
        }
        while (Advance(groups, choices));
        return best;
    }

    /// <summary>Whether a selection keeps all budgets.</summary>
    internal static bool Fits(IReadOnlyList<ChoiceGroup> groups, IReadOnlyList<int> choices, Budget budget)
    {
        var spent = groups.Select((group, i) => (group.Part, group.Candidates[choices[i]].Cost)).ToList();
        return spent.Sum(entry => entry.Cost) <= budget.Total
            && spent.GroupBy(entry => entry.Part).All(part => part.Sum(entry => entry.Cost) <= budget.Of(part.Key));
    }

    static bool Advance(IReadOnlyList<ChoiceGroup> groups, int[] choices)
    {
        for (var i = 0; i < choices.Length; i++)
        {
            if (++choices[i] < groups[i].Candidates.Count)
                return true;
            choices[i] = 0;
        }
        return false;
    }

    static void Check(IReadOnlyList<ChoiceGroup> groups)
    {
        foreach (var group in groups)
        {
            if (group.Candidates.Count == 0)
                throw new QuantizationException($"{group.Name}: no candidate to choose.");
            foreach (var candidate in group.Candidates)
                if (candidate.Cost < 0 || !(candidate.Score >= 0 && double.IsFinite(candidate.Score)))
                    throw new QuantizationException(
                        $"{group.Name}: {candidate.Name} has cost {candidate.Cost} and score {candidate.Score}; finite numbers from 0 on expected.");
        }
    }

    static void CheckBudget(IReadOnlyList<ChoiceGroup> groups, Budget budget)
    {
        foreach (var part in groups.GroupBy(group => group.Part))
            if (LeastCost(part) is var least && least > budget.Of(part.Key))
                throw new QuantizationException(
                    $"{(part.Key.Length == 0 ? "The model" : part.Key)} costs at least {least}; the budget is {budget.Of(part.Key)}.");
        if (LeastCost(groups) > budget.Total)
            throw new QuantizationException($"The model costs at least {LeastCost(groups)}; the budget is {budget.Total}.");
    }
}
