using Nibble.Quant;
using Nibble.Quant.Search;

namespace Nibble.Tests.Quant.Search;

public class KnapsackTests
{
    /// <summary>Sums of scores taken in another order.</summary>
    const double Rounding = 1e-12;

    static readonly string[] Parts = ["language", "vision", "projector"];

    [Fact]
    public void The_best_of_all_selections_is_found()
    {
        for (var seed = 0; seed < 3000; seed++)
        {
            var (groups, budget) = Instance(new Random(seed), parts: false);
            Check(groups, budget, $"seed {seed}");
        }
    }

    [Fact]
    public void The_best_of_all_selections_is_found_within_the_budgets_of_parts()
    {
        for (var seed = 0; seed < 3000; seed++)
        {
            var (groups, budget) = Instance(new Random(seed), parts: true);
            Check(groups, budget, $"seed {seed}");
        }
    }

    [Fact]
    public void Little_room_gives_an_honest_bound()
    {
        var proven = 0;
        for (var seed = 0; seed < 2000; seed++)
        {
            var (groups, budget) = Instance(new Random(seed), parts: seed % 2 == 0);
            if (Knapsack.Definition(groups, budget) is not { } expected)
                continue;
            var found = Knapsack.Solve(groups, budget, mostStates: 1 + seed % 3);
            Assert.True(Knapsack.Fits(groups, found.Choices, budget));
            Assert.True(found.LowerBound <= expected.Score * (1 + Rounding), $"seed {seed}: {found.LowerBound} is above {expected.Score}");
            Assert.True(found.Score >= expected.Score * (1 - Rounding));
            proven += found.Gap == 0 ? 1 : 0;
        }
        Assert.InRange(proven, 100, 1900); // both kinds were seen
    }

    [Fact]
    public void Every_corner_of_the_front_is_the_best_at_its_cost()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            var (groups, _) = Instance(new Random(seed), parts: false);
            var front = Knapsack.Front(groups, new Dictionary<string, long>());
            Assert.Equal(Knapsack.LeastCost(groups), front[0].Cost);
            for (var i = 0; i < front.Count; i++)
            {
                Assert.Equal(Knapsack.Definition(groups, new Budget(front[i].Cost))!.Score, front[i].Score, Rounding * 100);
                Assert.InRange(front[i].Gap, 0, Rounding * 100);
                Assert.True(i == 0 || front[i].Cost > front[i - 1].Cost && front[i].Score < front[i - 1].Score);
            }
            Assert.Equal(groups.Sum(group => group.Candidates.Min(candidate => candidate.Score)), front[^1].Score, Rounding * 100);
        }
    }

    [Fact]
    public void The_front_keeps_the_budgets_of_parts_and_its_bounds_hold()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            var (groups, budget) = Instance(new Random(seed), parts: true);
            if (Knapsack.Definition(groups, budget with { Total = long.MaxValue }) is null)
                continue;
            foreach (var selection in Knapsack.Front(groups, budget.Parts))
            {
                Assert.True(Knapsack.Fits(groups, selection.Choices, budget with { Total = selection.Cost }));
                var best = Knapsack.Definition(groups, budget with { Total = selection.Cost })!.Score;
                Assert.InRange(best, selection.LowerBound - Rounding * 100, selection.Score + Rounding * 100);
            }
        }
    }

    [Theory, InlineData(320, 1), InlineData(1200, 2)]
    public void Models_of_real_size_are_solved_to_the_end(int count, int seed)
    {
        var groups = Layers(count, seed);
        foreach (var share in (double[])[0.30, 0.35, 0.5, 0.9])
        {
            var budget = new Budget((long)(groups.Sum(group => group.Candidates[2].Cost) * share));
            var found = Knapsack.Solve(groups, budget);
            Assert.Equal(0, found.Gap);
            Assert.InRange(found.Cost, budget.Total * 0.999, budget.Total);
            var below = Knapsack.Front(groups, budget.Parts).Last(selection => selection.Cost <= budget.Total);
            Assert.True(found.Score <= below.Score);
        }
    }

    [Fact]
    public void Wrong_numbers_and_budgets_are_refused()
    {
        var group = new ChoiceGroup("a.q_proj", "language", [new Candidate("fp8", 8, 1), new Candidate("skip", 16, 0)]);
        Refused("a.q_proj: no candidate", group with { Candidates = [] }, new Budget(100));
        Refused("NaN", group with { Candidates = [new Candidate("fp8", 8, double.NaN)] }, new Budget(100));
        Refused("-1", group with { Candidates = [new Candidate("fp8", -1, 0)] }, new Budget(100));
        Refused("costs at least 8; the budget is 7", group, new Budget(7));
        Refused("language costs at least 8; the budget is 5", group, new Budget(100, new Dictionary<string, long> { ["language"] = 5 }));

        static void Refused(string message, ChoiceGroup group, Budget budget) =>
            Assert.Contains(message, Assert.Throws<QuantizationException>(() => Knapsack.Solve([group], budget)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_groups_are_no_problem() => Assert.Equal((0, 0.0), (Knapsack.Solve([], new Budget(0)).Cost, Knapsack.Solve([], new Budget(0)).Score));

    static void Check(List<ChoiceGroup> groups, Budget budget, string because)
    {
        if (Knapsack.Definition(groups, budget) is not { } expected)
        {
            Assert.Throws<QuantizationException>(() => Knapsack.Solve(groups, budget));
            return;
        }
        var found = Knapsack.Solve(groups, budget);
        Assert.True(Knapsack.Fits(groups, found.Choices, budget), because);
        Assert.True(Math.Abs(expected.Score - found.Score) <= Rounding * 100, $"{because}: {found.Score} instead of {expected.Score}");
        Assert.Equal(0, found.Gap);
    }

    /// <summary>Few groups with costs and scores of every kind: alike, dominated, zero, on one line.</summary>
    static (List<ChoiceGroup> Groups, Budget Budget) Instance(Random random, bool parts)
    {
        var coarse = random.Next(3) == 0;
        var groups = Enumerable.Range(0, random.Next(1, 7)).Select(i => new ChoiceGroup($"g{i}", Parts[random.Next(3)],
            [.. Enumerable.Range(0, random.Next(1, 5)).Select(k => new Candidate($"c{k}", random.Next(coarse ? 5 : 1000),
                coarse ? random.Next(4) : Math.Exp(6 * random.NextDouble() - 3)))])).ToList();
        var (least, most) = (Knapsack.LeastCost(groups), groups.Sum(group => group.Candidates.Max(candidate => candidate.Cost)));
        var limits = new Dictionary<string, long>();
        if (parts)
            foreach (var part in groups.GroupBy(group => group.Part).Where(_ => random.Next(3) > 0))
                limits[part.Key] = Draw(Knapsack.LeastCost(part), part.Sum(group => group.Candidates.Max(candidate => candidate.Cost)));
        return (groups, new Budget(Draw(least, most), limits));

        long Draw(long low, long high) => low + (long)((high - low) * (1.2 * random.NextDouble() - 0.05));
    }

    /// <summary>Groups like those of a language model, with scores that fall with the bits and differ by orders of magnitude.</summary>
    static List<ChoiceGroup> Layers(int count, int seed)
    {
        var random = new Random(seed);
        long[] elements = [10 << 23, 8 << 23, 56 << 23, 28 << 23];
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            var (size, damage) = (elements[i % 4], Math.Exp(4 * random.NextDouble()));
            return new ChoiceGroup($"g{i}", "language",
            [
                new Candidate("nvfp4", size * 9 / 16 + 4 * (i % 3 + 1), damage),
                new Candidate("fp8", size + 4 * (i % 3 + 1), damage * (0.05 + 0.05 * random.NextDouble())),
                new Candidate("skip", 2 * size, 0),
            ]);
        })];
    }
}
