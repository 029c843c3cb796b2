namespace Nibble.Quant.Search;

/// <summary>
/// Dynamic programming over partial choices: group by group, a partial choice is dropped when another one is at most as costly and at
/// least as good, or when the relaxed rest shows that it cannot beat the best selection known (Pisinger, EJOR 83, 1995). The parts of
/// the network are worked on one by one and then joined.
/// </summary>
/// <param name="known">The score of a selection that exists; +∞ for none.</param>
/// <param name="width">Partial choices kept at a time.</param>
sealed class KnapsackSearch(IReadOnlyList<ChoiceGroup> groups, Budget budget, double known, int width)
{
    /// <summary>Pairs looked at when two parts are joined, for each partial choice kept.</summary>
    const int PairsPerState = 64;

    double dropped = double.PositiveInfinity;

    /// <summary>
    /// The choices of the best selection found, null where none beats the known one; and a score that no selection is below which is
    /// not at least as bad as the one found or known.
    /// </summary>
    public (int[]? Choices, double Bound) Run()
    {
        // Parts without a budget of their own are one.
        var parts = groups.Index().GroupBy(group => budget.Parts.ContainsKey(group.Item.Part) ? group.Item.Part : null)
            .Select(part => new Part([.. part.Select(group => group.Index)], part.Key is null ? budget.Total : budget.Of(part.Key), groups))
            .ToList();
        List<State> joined = [new State(0, 0, null, -1, -1, null)];
        for (var i = 0; i < parts.Count; i++)
        {
            var others = CostCurve.Sum([.. parts.Where((_, other) => other != i).Select(part => part.Limited)]);
            joined = Join(joined, Partial(parts[i], others), CostCurve.Sum([.. parts.Skip(i + 1).Select(part => part.Limited)]));
        }
        if (joined.Count == 0)
            return (null, dropped);
        var choices = new int[groups.Count];
        foreach (var state in joined.MinBy(state => state.Score)!.Chain())
            if (state.Group >= 0)
                choices[state.Group] = state.Candidate;
        return (choices, dropped);
    }

    /// <summary>The partial choices of one part that may belong to the best selection.</summary>
    List<State> Partial(Part part, CostCurve others)
    {
        List<State> states = [new State(0, 0, null, -1, -1, null)];
        var rest = part.Curve;
        foreach (var group in part.Groups)
        {
            var candidates = groups[group].Candidates;
            rest = rest.Without(CostCurve.Of(candidates, group), group);
            var relaxed = new Relaxed(rest, others, part.Limit, budget.Total);
            var next = new List<State>();
            foreach (var i in CostCurve.Undominated(candidates))
                foreach (var state in states)
                    next.Add(new State(state.Cost + candidates[i].Cost, state.Score + candidates[i].Score, state, group, i, null));
            states = Reduce(next, state => state.Score + relaxed.Score(state.Cost));
        }
        return states;
    }

    /// <summary>Every partial choice of the parts so far with every one of the next.</summary>
    List<State> Join(List<State> so, List<State> part, CostCurve rest)
    {
        if (so is [{ Parent: null, Other: null }])
            return part;
        var most = (int)Math.Max(1, Math.Sqrt((double)PairsPerState * width));
        var bounds = CostCurve.Sum([rest]);
        so = Cut(so, most, state => state.Score + bounds.Score(budget.Total - state.Cost));
        part = Cut(part, most, state => state.Score + bounds.Score(budget.Total - state.Cost));
        var pairs = new List<State>();
        foreach (var left in so)
            foreach (var right in part)
                pairs.Add(new State(left.Cost + right.Cost, left.Score + right.Score, left, -1, -1, right));
        return Reduce(pairs, state => state.Score + bounds.Score(budget.Total - state.Cost));
    }

    /// <summary>Drops what cannot be better than another one or than what is known, and what there is no room for.</summary>
    List<State> Reduce(List<State> states, Func<State, double> bound)
    {
        states.Sort((x, y) => x.Cost != y.Cost ? x.Cost.CompareTo(y.Cost) : x.Score.CompareTo(y.Score));
        var kept = new List<State>();
        var best = double.PositiveInfinity;
        foreach (var state in states)
        {
            if (!(state.Score < best))
                continue;
            best = state.Score;
            if (bound(state) < known)
                kept.Add(state);
        }
        return Cut(kept, width, bound);
    }

    /// <summary>
    /// Keeps so many of the most promising, and remembers what the others could have been. The cheapest is always kept: where all else
    /// turns out not to fit together, it does.
    /// </summary>
    /// <param name="states">The cheapest first.</param>
    List<State> Cut(List<State> states, int most, Func<State, double> bound)
    {
        if (states.Count <= most)
            return states;
        var ranked = states.Skip(1).Select(state => (State: state, Bound: bound(state))).OrderBy(entry => entry.Bound).ToList();
        dropped = Math.Min(dropped, ranked[most - 1].Bound);
        return [states[0], .. ranked.Take(most - 1).Select(entry => entry.State).OrderBy(state => state.Cost)];
    }

    /// <summary>Groups that share a budget.</summary>
    sealed record Part(int[] Groups, long Limit, IReadOnlyList<ChoiceGroup> All)
    {
        public CostCurve Curve { get; } = CostCurve.Sum([.. Groups.Select(group => CostCurve.Of(All[group].Candidates, group))]);

        public CostCurve Limited => Curve.Until(Limit);
    }

    /// <summary>A decision and those before it; or, where two parts were joined, the last decision of either.</summary>
    sealed record State(long Cost, double Score, State? Parent, int Group, int Candidate, State? Other)
    {
        public IEnumerable<State> Chain()
        {
            for (var state = this; state is not null; state = state.Parent)
            {
                yield return state;
                foreach (var decision in state.Other?.Chain() ?? [])
                    yield return decision;
            }
        }
    }

    /// <summary>The least score of what is not decided yet, candidates mixed freely.</summary>
    /// <param name="rest">The open groups of the part.</param>
    /// <param name="others">The other parts, each within its own budget.</param>
    sealed class Relaxed(CostCurve rest, CostCurve others, long partLimit, long total)
    {
        readonly CostCurve together = CostCurve.Sum([rest, others]);
        readonly long[] ofRest = Shares(rest, others);

        /// <param name="spent">By the decided groups of the part.</param>
        public double Score(long spent)
        {
            var left = total - spent;
            if (left < together.LeastCost || partLimit - spent < rest.LeastCost)
                return double.PositiveInfinity;

            // Both are convex in what the part spends. So the part's own budget counts where the best division exceeds it, and then
            // the part spends just that.
            var whole = together.StepAt(left);
            var partial = whole < together.Steps.Count ? together.Share(whole, left) : 0;
            var share = partial > 0 && ofRest[whole + 1] > ofRest[whole] ? partial : 0;
            return ofRest[whole] + share <= partLimit - spent ? together.Score(left)
                : rest.Score(partLimit - spent) + others.Score(total - partLimit);
        }

        /// <summary>What the part spends after each step of the sum.</summary>
        static long[] Shares(CostCurve rest, CostCurve others)
        {
            var open = rest.Steps.Select(step => step.Group).ToHashSet();
            var steps = CostCurve.Sum([rest, others]).Steps;
            var shares = new long[steps.Count + 1];
            shares[0] = rest.LeastCost;
            for (var i = 0; i < steps.Count; i++)
                shares[i + 1] = shares[i] + (open.Contains(steps[i].Group) ? steps[i].Cost : 0);
            return shares;
        }
    }
}
