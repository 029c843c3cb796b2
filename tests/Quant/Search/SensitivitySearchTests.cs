using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Generation;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Quant.Search;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Models;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Search;

/// <summary>Searches over a vision-language network, all scopes, pictures and text mixed.</summary>
public sealed class SensitivitySearchTests : IDisposable
{
    static readonly Scheme[] Schemes = [Nibble.Quant.Formats.Schemes.Find("nvfp4")!, Nibble.Quant.Formats.Schemes.Find("int8_wo")!];

    readonly Golden golden = Golden.Model("qwen2_5_vl");
    readonly TemporaryFolder folder = new();

    SampleList Samples => new([golden.Sample("one."), golden.Sample("text."), golden.Sample("two.")]);

    public void Dispose()
    {
        golden.Dispose();
        folder.Dispose();
    }

    [Theory, InlineData(SearchMethod.Gradient), InlineData(SearchMethod.Divergence)]
    public void Waiting_on_disk_changes_nothing_and_leaves_nothing(SearchMethod method)
    {
        var inMemory = Run(method, long.MaxValue);
        var onDisk = Run(method, 10_000);
        Assert.Equal(inMemory.Select(group => group.Name), onDisk.Select(group => group.Name));
        Assert.Equal(inMemory.SelectMany(group => group.Scores.Values), onDisk.SelectMany(group => group.Scores.Values));
        Assert.All(inMemory.SelectMany(group => group.Scores.Values), score => Assert.True(score > 0));
        Assert.False(Directory.Exists(folder.In("spill")));
    }

    [Fact]
    public void A_divergence_is_that_of_whole_networks()
    {
        var scores = Run(SearchMethod.Divergence, long.MaxValue);
        var space = Space();
        Assert.Equal(["language", "projector", "vision"], scores.Select(group => group.Scope).Distinct().Order());
        foreach (var group in space.Groups.Where(group => group.Schemes.Count > 0))
        {
            var expected = Enumerable.Range(0, Samples.Count).Sum(i => Divergence.Of(Logits(i, null), Logits(i, group)).Sum());
            Assert.Equal(1, scores.First(entry => entry.Name == group.Name).Scores["int8_wo"] / expected, 1e-4);
        }

        Tensor Logits(int sample, SearchGroup? quantized) => new Generator(golden.Network, new Weights(golden.Source,
            quantized is null ? new DenseModules(golden.Source) : new Int8Modules(golden.Source, quantized))).Logits(Samples.Load(sample));
    }

    [Fact]
    public void A_gradient_score_is_the_squared_change_along_the_slope()
    {
        // With weights rounded alone, the last block's last matrix sees the same inputs in every network: all can be computed plainly.
        const string module = "model.layers.1.mlp.down_proj";
        var scores = Run(SearchMethod.Gradient, long.MaxValue).First(group => group.Name == module).Scores["int8_wo"];
        var (expected, weights) = (0.0, new Weights(golden.Source));
        var rounded = Int8Modules.Pack(golden.Source, module);
        var dense = new DenseModules(golden.Source).Linear(module);
        for (var sample = 0; sample < Samples.Count; sample++)
        {
            var pass = golden.Network.Begin(Samples.Load(sample));
            foreach (var stage in golden.Network.Stages.SkipLast(1))
            {
                var loaded = stage.Load(weights);
                if (stage.Modules.Contains(module))
                    expected += Before(loaded, pass);
                else
                    loaded.Forward(pass);
            }
        }
        Assert.Equal(1, scores / expected, 1e-3);

        double Before(IStage block, Pass pass)
        {
            foreach (var step in block.Steps.SkipLast(1))
                step.Run(pass);
            var (input, hidden) = (pass.Input!, pass.Hidden);
            block.Steps[^1].Run(pass);
            using Tensor exact = Tensor.Empty(hidden.Shape), approximate = Tensor.Empty(hidden.Shape);
            dense.Multiply(input, exact);
            rounded.Multiply(input, approximate);
            var slope = Slope(pass);
            return Enumerable.Range(0, (int)exact.Elements).Sum(i =>
                Math.Pow((double)slope[i] * (approximate.Span<float>()[i] - exact.Span<float>()[i]), 2));
        }

        float[] Slope(Pass pass)
        {
            var targets = pass.Sample.Ids.Skip(1).Select((id, i) => pass.ImageMask?[i + 1] == true ? CrossEntropyGradient.NoTarget : id)
                .Append(CrossEntropyGradient.NoTarget).ToArray();
            using var gradient = new Gradient();
            gradient.Back(golden.Network.Stages[^1].Load(weights), pass, after =>
            {
                gradient.Logits = after.Logits!.Clone();
                CrossEntropyGradient.Apply(after.Logits!, targets, 1.0 / targets.Count(target => target >= 0), gradient.Logits);
            });
            return gradient.Hidden!.Span<float>().ToArray();
        }
    }

    [Fact]
    public void The_experts_of_a_layer_are_one_group_and_their_sum_is_scored()
    {
        using var moe = Golden.Model("qwen3_moe");
        var scheme = Nibble.Quant.Formats.Schemes.Find("int8_wo")!;
        var space = SearchSpace.Create(moe.Network, moe.Source, [scheme], [Scope.Language], []);
        var group = space.Groups.Last(group => group.IsMixture);
        var (stages, block) = (moe.Network.Stages, moe.Network.Stages.Index().First(stage => stage.Item.Name == group.Stage));
        Assert.Equal(block.Item.Modules.Where(module => module.Contains(".experts.", StringComparison.Ordinal)).Order(),
            group.Modules.Select(module => module.Name).Order());

        // In the last layer the slope needs no other layer's way back.
        Assert.Equal(stages.Count - 2, block.Index);
        var sample = moe.Sample("");
        var scores = SensitivitySearch.Run(moe.Network, moe.Source, space, new SampleList([sample]), SearchMethod.Gradient, Options(long.MaxValue)).Scores;
        var weights = new Weights(moe.Source);
        var pass = moe.Network.Begin(sample);
        foreach (var stage in stages.SkipLast(2))
            stage.Load(weights).Forward(pass);
        var before = pass.Hidden;
        stages[^2].Load(new Weights(moe.Source, new Int8Modules(moe.Source, group))).Forward(pass);
        var rounded = pass.Hidden;
        pass.Hidden = before;
        stages[^2].Load(weights).Forward(pass);
        using var gradient = new Gradient();
        gradient.Back(stages[^1].Load(weights), pass, after =>
        {
            gradient.Logits = after.Logits!.Clone();
            int[] targets = [.. sample.Ids[1..], CrossEntropyGradient.NoTarget];
            CrossEntropyGradient.Apply(after.Logits!, targets, 1.0 / (targets.Length - 1), gradient.Logits);
        });
        var expected = Enumerable.Range(0, (int)rounded.Elements).Sum(i => Math.Pow((double)gradient.Hidden!.Span<float>()[i]
            * (rounded.Span<float>()[i] - pass.Hidden.Span<float>()[i]), 2));
        Assert.Equal(1, scores.First(entry => entry.Name == group.Name).Scores["int8_wo"] / expected, 1e-3);
    }

    [Fact]
    public void Progress_rises_to_the_end_and_cancelling_stops()
    {
        var seen = new List<SearchProgress>();
        SensitivitySearch.Run(golden.Network, golden.Source, Space(), Samples, SearchMethod.Divergence, Options(long.MaxValue), new Direct(seen.Add));
        Assert.Equal(seen.Select(entry => entry.Done), seen.Select(entry => entry.Done).Order());
        Assert.Equal(1, seen[^1].Done, 1e-9);
        seen.Clear();
        SensitivitySearch.Run(golden.Network, golden.Source, Space(), Samples, SearchMethod.Gradient, Options(long.MaxValue), new Direct(seen.Add));
        Assert.Equal(1, seen[^1].Done, 1e-9);
        Assert.Throws<OperationCanceledException>(() => SensitivitySearch.Run(golden.Network, golden.Source, Space(), Samples, SearchMethod.Gradient,
            Options(10_000), null, new CancellationToken(true)));
        Assert.False(Directory.Exists(folder.In("spill")));
    }

    [Fact]
    public void No_samples_are_refused() => Assert.Throws<QuantizationException>(() => SensitivitySearch.Run(
        golden.Network, golden.Source, Space(), new SampleList([]), SearchMethod.Gradient, Options(0)));

    IReadOnlyList<GroupScores> Run(SearchMethod method, long budget) =>
        SensitivitySearch.Run(golden.Network, golden.Source, Space(), Samples, method, Options(budget)).Scores;

    SearchOptions Options(long budget) => new(budget, folder.In("spill"));

    SearchSpace Space() => SearchSpace.Create(golden.Network, golden.Source, Schemes, Enum.GetValues<Scope>(), []);

    sealed class Direct(Action<SearchProgress> report) : IProgress<SearchProgress>
    {
        public void Report(SearchProgress value) => report(value);
    }

    sealed class Int8Modules(ITensorSource source, SearchGroup quantized) : IModuleSource
    {
        public static PackedWeight Pack(ITensorSource source, string module) =>
            new(WeightQuantizer.Quantize(source.Load(module + ".weight"), new Int8PerChannel()));

        public ILinearWeight Linear(string module) =>
            quantized.Modules.Any(member => member.Name == module) ? Pack(source, module) : new DenseModules(source).Linear(module);

        public IKeyValueFilter? KeyValues(string attention) => null;
    }
}
