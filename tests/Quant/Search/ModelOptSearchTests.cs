using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Search;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Search;

/// <summary>Scores and choices of ModelOpt 0.47's auto_quantize on the same model, data and formats.</summary>
public class ModelOptSearchTests
{
    /// <summary>Largest relative difference of a score; 3.2e-4 measured, where a tie of an FP8 input falls to the other side, else 5e-6.</summary>
    const double Tolerance = 1e-3;

    /// <summary>The same for the codes that are written; 7.3e-2 measured.</summary>
    const double WrittenTolerance = 0.1;

    public static TheoryData<string> Chosen => [.. RecordedSearch.Chosen];

    [Theory, MemberData(nameof(Chosen))]
    public void The_recorded_choice_follows_from_the_recorded_scores(string run)
    {
        var recorded = new RecordedSearch(run);
        var groups = recorded.Groups;
        var total = groups.Sum(group => group.Candidates[^1].Cost);
        var found = Knapsack.Solve(groups, new Budget((long)(total * recorded.EffectiveBits / 16)));
        Assert.Equal(groups.Select(group => recorded.Choice(group.Name)), groups.Zip(found.Choices, (group, choice) => group.Candidates[choice].Name));
        Assert.Equal(recorded.BestScore, found.Score, 1e-12);
        Assert.Equal(recorded.BestBits, 16.0 * found.Cost / total, 1e-12);
        Assert.Equal(0, found.Gap);
    }

    [Fact]
    public void What_ModelOpt_cannot_reach_we_cannot_either()
    {
        var reachable = new RecordedSearch("nvfp4_fp8_5.05_gradient").Groups;
        Assert.Contains("minimum achievable effective bits is 5.0000", new RecordedSearch("nvfp4_fp8_4.8_gradient").Status, StringComparison.Ordinal);
        var total = reachable.Sum(group => group.Candidates[^1].Cost);
        Assert.Equal(5.0, 16.0 * Knapsack.LeastCost(reachable) / total, 12);
        Assert.Throws<QuantizationException>(() => Knapsack.Solve(reachable, new Budget((long)(total * 4.8 / 16))));
    }

    /// <summary>ModelOpt's simulated weights in place of our codes: everything but the rounding of weights is ours.</summary>
    [Theory]
    [InlineData("nvfp4_fp8_5.4_gradient", SearchMethod.Gradient)]
    [InlineData("nvfp4_fp8_6.0_kl", SearchMethod.Divergence)]
    public void Scores_are_the_recorded_ones(string run, SearchMethod method) =>
        Check(run, method, Tolerance, (weight, scheme, inputScale) => new Simulated(
            new DenseWeight(ModelOptFakeQuant.Weights(weight, scheme.Weight)), scheme.Activation, inputScale));

    /// <summary>
    /// Our codes are those of the export: exact ties of BF16 weights fall to the other side than in the simulation, and fused NVFP4
    /// weights share a scale.
    /// </summary>
    [Theory]
    [InlineData("nvfp4_fp8_5.4_gradient", SearchMethod.Gradient)]
    [InlineData("nvfp4_fp8_6.0_kl", SearchMethod.Divergence)]
    public void Scores_of_the_codes_that_are_written_are_close(string run, SearchMethod method) => Check(run, method, WrittenTolerance, null);

    static void Check(string run, SearchMethod method, double tolerance, Func<Tensor, Scheme, float, ILinearWeight>? simulate)
    {
        var recorded = new RecordedSearch(run);
        using var model = CheckpointFolder.Open(Repository.Fixture("modelopt/models/llama"));
        using var calibration = SafetensorsFile.Open(Path.Combine(model.Path, "calib.safetensors"));
        using var folder = new TemporaryFolder();
        var network = Networks.Create(ModelConfig.Parse(model.Config.Span, "config.json"), model);
        var space = SearchSpace.Create(network, model, [Schemes.Find("nvfp4")!, Schemes.Find("fp8")!], [Scope.Language], []);
        Assert.Equal(recorded.GroupCount, space.Groups.Count);

        const int batch = 2; // rows of the recorded batches
        var (scores, _) = SensitivitySearch.Run(network, model, space, new TokenSamples(calibration, "calib"), method,
            new SearchOptions(long.MaxValue, folder.In("spill"), batch) { Simulate = simulate });

        Assert.Equal(recorded.GroupCount - 1, scores.Count); // the head has nothing to choose
        CheckChoice(recorded, space, scores);
        foreach (var group in scores)
        {
            Assert.Equal(recorded.Modules(group.Name), group.Modules);
            Near(recorded.Score(group.Name, 0), group.Scores["nvfp4"], tolerance, $"{group.Name} nvfp4");
            Near(recorded.Score(group.Name, 1), group.Scores["fp8"], tolerance, $"{group.Name} fp8");
        }
    }

    /// <summary>Our scores and our costs lead to the recorded choice.</summary>
    static void CheckChoice(RecordedSearch recorded, SearchSpace space, IReadOnlyList<GroupScores> scores)
    {
        var allocation = new Allocation(space, scores, SizeLimit.OfBits(recorded.EffectiveBits));
        var selection = allocation.Solve();
        Assert.Equal(recorded.BestBits, allocation.EffectiveBits(selection), 1e-12);
        foreach (var (group, scheme) in allocation.Schemes(selection))
            Assert.StartsWith(scheme?.Name.ToUpperInvariant() ?? "NONE", recorded.Choice(group.Name + ".quant_recipe"), StringComparison.Ordinal);
    }

    static void Near(double expected, double actual, double tolerance, string because) =>
        Assert.True(Math.Abs(expected - actual) <= tolerance * expected, $"{because}: {actual} instead of {expected}");
}
