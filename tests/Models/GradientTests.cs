using Nibble.Models;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models;

/// <summary>
/// The slope of the loss in the output of every linear module, against the change of the loss when that output is nudged in a forward
/// pass of the whole network: one wrong sign or forgotten branch on the way shows in all modules before it.
/// </summary>
public class GradientTests
{
    /// <summary>Largest relative error; 2.5e-3 measured, of the F32 rounding of the losses whose difference is taken.</summary>
    const double Tolerance = 1e-2;

    /// <summary>By how much the loss is to change: far above its rounding, far below where it bends.</summary>
    const double Change = 0.01;

    [Theory]
    [InlineData("llama"), InlineData("llama_tied"), InlineData("mistral"), InlineData("qwen2"), InlineData("qwen3")]
    [InlineData("qwen2_5_vl"), InlineData("qwen3_moe"), InlineData("qwen3_moe_nonorm")]
    public void Slopes_of_module_outputs_predict_the_loss(string model)
    {
        using var golden = Golden.Model(model);
        var sample = golden.Sample(model == "qwen2_5_vl" ? "two." : "");
        var slopes = Slopes(golden, sample);
        var unused = golden.Network.Stages.SelectMany(stage => stage.Modules).Except(slopes.Keys);
        Assert.DoesNotContain(unused, module => !module.Contains(".experts.", StringComparison.Ordinal)); // an expert may get no token
        foreach (var (module, slope) in slopes)
        {
            var direction = Direction(slope);
            var predicted = Dot(slope, direction);
            var step = (float)(Change / predicted);
            var measured = (Loss(golden, sample, module, direction, step) - Loss(golden, sample, module, direction, -step)) / (2 * step);
            Assert.True(Math.Abs(measured - predicted) <= Tolerance * predicted, $"{module}: {predicted} predicted, {measured} measured");
        }
    }

    [Fact]
    public void A_stage_is_left_as_it_was_found_and_inputs_are_handed_out()
    {
        using var golden = Golden.Model("llama");
        var pass = golden.Network.Begin(golden.Sample(""));
        golden.Network.Stages[0].Load(golden.Weights).Forward(pass);
        var (hidden, before) = (pass.Hidden, pass.Hidden.Span<float>().ToArray());
        var widths = new List<(int, int, int, int)>();
        using var gradient = new Gradient((weight, x, dy) => widths.Add((weight.Columns, x.Columns, weight.Rows, dy.Columns)));
        gradient.Hidden = Tensor.Zeros(hidden.Shape);
        gradient.Back(golden.Network.Stages[1].Load(golden.Weights), pass);
        Assert.Same(hidden, pass.Hidden);
        Assert.Null(pass.Input);
        Assert.Equal(before, hidden.Span<float>().ToArray());
        Assert.Equal(hidden.Shape, gradient.Hidden!.Shape);
        Assert.Equal(7, widths.Count);
        Assert.All(widths, width => Assert.Equal((width.Item1, width.Item3), (width.Item2, width.Item4)));
    }

    [Fact]
    public void A_stage_without_a_way_back_says_so()
    {
        using var gradient = new Gradient();
        var pass = new Pass(new Sample(1), null);
        Assert.Contains("OneWay", Assert.Throws<ModelException>(() => gradient.Back(new OneWay(), pass)).Message, StringComparison.Ordinal);
    }

    /// <summary>dy of every module, stage by stage from the last.</summary>
    static Dictionary<string, Tensor> Slopes(Golden golden, Sample sample)
    {
        var slopes = new Dictionary<string, Tensor>();
        var modules = new Named(golden.Source);
        var weights = new Weights(golden.Source, modules);
        var pass = golden.Network.Begin(sample);
        var found = new List<Tensor?>();
        foreach (var stage in golden.Network.Stages)
        {
            found.Add(pass.Hidden);
            stage.Load(weights).Forward(pass);
        }

        using var gradient = new Gradient((weight, _, dy) =>
        {
            if (modules.Names.TryGetValue(weight, out var name))
                slopes.Add(name, dy.Clone());
        });
        for (var i = found.Count - 1; i >= 0 && golden.Network.Stages[i].Name != "visual.patch_embed"; i--)
        {
            pass.Hidden = found[i]!;
            gradient.Back(golden.Network.Stages[i].Load(weights), pass, i < found.Count - 1 ? null : after =>
            {
                gradient.Logits = Tensor.Empty(after.Logits!.Shape);
                CrossEntropyGradient.Apply(after.Logits, Targets(sample), 1, gradient.Logits);
            });
        }
        return slopes;
    }

    static double Loss(Golden golden, Sample sample, string module, Tensor direction, float step)
    {
        var modules = new Nudged(golden.Source, module, direction, step);
        using var logits = Run.Stages(golden.Network, new Weights(golden.Source, modules), sample);
        return -Enumerable.Range(0, sample.Ids.Length - 1).Sum(token => LogLikelihood.Of(logits.Row(token), sample.Ids[token + 1]));
    }

    static int[] Targets(Sample sample) => [.. sample.Ids[1..], CrossEntropyGradient.NoTarget];

    /// <summary>The slope's own direction, mixed with a random one.</summary>
    static Tensor Direction(Tensor slope)
    {
        var direction = Draw.Tensor(1, slope.Shape.Dimensions);
        Elementwise.Scale(direction, (float)(Math.Sqrt(Dot(slope, slope) / Dot(direction, direction)) / 2), direction);
        Elementwise.AddInPlace(direction, slope);
        return direction;
    }

    static double Dot(Tensor x, Tensor y) => x.Span<float>().ToArray().Zip(y.Span<float>().ToArray(), (a, b) => (double)a * b).Sum();

    sealed class OneWay : IStage
    {
        public IReadOnlyList<Step> Steps => [new([], _ => { })];
    }

    sealed class Named(ITensorSource source) : IModuleSource
    {
        public Dictionary<ILinearWeight, string> Names { get; } = new(ReferenceEqualityComparer.Instance);

        public ILinearWeight Linear(string module)
        {
            var weight = new DenseModules(source).Linear(module);
            Names.Add(weight, module);
            return weight;
        }

        public IKeyValueFilter? KeyValues(string attention) => null;
    }

    sealed class Nudged(ITensorSource source, string nudged, Tensor direction, float step) : IModuleSource
    {
        public ILinearWeight Linear(string module)
        {
            var weight = new DenseModules(source).Linear(module);
            return module == nudged ? new Weight(weight, direction, step) : weight;
        }

        public IKeyValueFilter? KeyValues(string attention) => null;

        sealed class Weight(ILinearWeight weight, Tensor direction, float step) : ILinearWeight
        {
            public int Rows => weight.Rows;

            public int Columns => weight.Columns;

            public long Bytes => weight.Bytes;

            public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

            public void Multiply(Tensor x, Tensor y)
            {
                weight.Multiply(x, y);
                for (var i = 0; i < y.Elements; i++)
                    y.Span<float>()[i] += step * direction.Span<float>()[i];
            }
        }
    }
}
