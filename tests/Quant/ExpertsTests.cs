using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>A mixture of experts through the quantizer: tokens are counted expert by expert, scales are shared where runtimes need it.</summary>
public sealed class ExpertsTests
{
    const int Experts = 4, PerToken = 2;

    [Fact]
    public void Every_token_is_counted_at_the_experts_it_goes_through()
    {
        var (reports, _, tokens) = Quantize(Schemes.Find("fp8")!, Algorithm.Max, onlyFirstToken: false);
        Assert.Equal(96, tokens);
        Assert.Equal(tokens, reports["self_attn.q_proj"].TextTokens);
        foreach (var name in (string[])["gate_proj", "up_proj", "down_proj"])
        {
            var counts = Enumerable.Range(0, Experts).Select(expert => reports[$"mlp.experts.{expert}.{name}"].TextTokens).ToList();
            Assert.Equal(PerToken * tokens, counts.Sum());
            Assert.All(counts, count => Assert.InRange(count, 1, tokens - 1));
            Assert.Equal(counts, Enumerable.Range(0, Experts).Select(expert => reports[$"mlp.experts.{expert}.gate_proj"].TextTokens));
        }
        Assert.DoesNotContain("mlp.gate", reports.Keys); // the router is no module
    }

    /// <summary>Of scaled inputs, and of those of experts that nothing is known of, which are not scaled.</summary>
    [Theory]
    [InlineData("int8", Algorithm.SmoothQuant, false)]
    [InlineData("int8", Algorithm.SmoothQuant, true)]
    [InlineData("w4a8", Algorithm.Awq, false)]
    [InlineData("nvfp4", Algorithm.Awq, true)]
    [InlineData("nvfp4", Algorithm.SvdQuant, true)]
    public void Experts_with_factors_of_their_own_share_a_scale_of_inputs(string format, Algorithm algorithm, bool onlyFirstToken)
    {
        var (reports, modules, _) = Quantize(Schemes.Find(format)!, algorithm, onlyFirstToken);
        foreach (var name in (string[])["gate_proj", "up_proj", "down_proj"])
        {
            var scale = Assert.Single(Enumerable.Range(0, Experts).Select(expert => modules[$"mlp.experts.{expert}.{name}"].Input).Distinct());
            var largest = Enumerable.Range(0, Experts).Max(expert => reports[$"mlp.experts.{expert}.{name}"].TextAmax ?? 0);
            if (onlyFirstToken)
                Assert.InRange(scale!.Value, Schemes.Find(format)!.Activation!.Scale(largest), float.MaxValue);
        }
    }

    [Fact]
    public void Experts_without_tokens_have_the_input_scale_of_the_others()
    {
        var (reports, modules, _) = Quantize(Schemes.Find("nvfp4")!, Algorithm.Max, onlyFirstToken: true);
        foreach (var name in (string[])["gate_proj", "up_proj", "down_proj"])
        {
            var own = Enumerable.Range(0, Experts).Select(expert => reports[$"mlp.experts.{expert}.{name}"]).ToList();
            Assert.Equal([0, 0, 1, 1], own.Select(report => report.TextTokens).Order());
            Assert.All(own.Where(report => report.TextTokens == 0), report => Assert.Null(report.TextError));
            var scales = Enumerable.Range(0, Experts).Select(expert => modules[$"mlp.experts.{expert}.{name}"].Input).Distinct();
            Close.Assert((float[])[own.Max(report => report.TextAmax ?? 0) / (6 * 448)], [Assert.Single(scales)!.Value], 1e-6);
        }
    }

    [Theory]
    [InlineData("fp8", Algorithm.Max, true)]
    [InlineData("fp8", Algorithm.Rtn, false)]
    [InlineData("nvfp4", Algorithm.Max, true)]
    [InlineData("nvfp4", Algorithm.Rtn, false)]
    public void Gate_and_up_of_an_expert_share_a_weight_scale_unless_each_is_rounded_by_itself(
        string format, Algorithm algorithm, bool shared)
    {
        var (_, modules, _) = Quantize(Schemes.Find(format)!, algorithm, onlyFirstToken: true);
        float Scale(int expert, string name) => modules[$"mlp.experts.{expert}.{name}"].Weight;
        for (var expert = 0; expert < Experts; expert++)
            Assert.Equal(shared, Scale(expert, "gate_proj") == Scale(expert, "up_proj"));
        Assert.Equal(Experts, Enumerable.Range(0, Experts).Select(expert => Scale(expert, "gate_proj")).Distinct().Count());
        Assert.NotEqual(Scale(1, "gate_proj"), Scale(1, "down_proj"));
    }

    /// <summary>Both streams go through the routers of their own; the one token of the last case leaves most experts without any.</summary>
    [Theory]
    [InlineData("fp8", Algorithm.Gptq, false)]
    [InlineData("nvfp4", Algorithm.Gptq, false)]
    [InlineData("nvfp4", Algorithm.Best, false)]
    [InlineData("fp8", Algorithm.Best, true)]
    [InlineData("nvfp4", Algorithm.Best, true)]
    public void Sequential_algorithms_share_the_same_scales(string format, Algorithm algorithm, bool onlyFirstToken)
    {
        var (reports, modules, tokens) = Quantize(Schemes.Find(format)!, algorithm, onlyFirstToken);
        foreach (var name in (string[])["gate_proj", "up_proj", "down_proj"])
        {
            var experts = Enumerable.Range(0, Experts).Select(expert => $"mlp.experts.{expert}.{name}").ToList();
            Assert.Single(experts.Select(expert => modules[expert].Input).Distinct());
            Assert.Equal(PerToken * tokens, experts.Sum(expert => reports[expert].TextTokens));
            Assert.All(experts.Where(expert => reports[expert].TextTokens != 1), // one token alone moves weights far: 0.39 measured
                expert => Assert.InRange(reports[expert].WeightError, 1e-5, 0.05));
            Assert.All(experts, expert => Assert.Equal(reports[expert].TextTokens == 0, reports[expert].TextError is null));
        }
        for (var expert = 0; expert < Experts; expert++)
            Assert.Equal(modules[$"mlp.experts.{expert}.gate_proj"].Weight, modules[$"mlp.experts.{expert}.up_proj"].Weight);
        Assert.Equal(format == "nvfp4" ? 1 : 3,
            ((string[])["q_proj", "k_proj", "v_proj"]).Select(name => modules[$"self_attn.{name}"].Weight).Distinct().Count());
    }

    static (Dictionary<string, ModuleReport> Reports, Dictionary<string, Scales> Modules, int Tokens) Quantize(
        Scheme scheme, Algorithm algorithm, bool onlyFirstToken)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/moe"));
        using var file = SafetensorsFile.Open(Path.Combine(source.Path, "calib.safetensors"));
        ISampleSource samples = new TokenSamples(file, file.Path);
        if (onlyFirstToken)
            samples = new SampleList([new Sample(samples.Load(0).Ids[0])]);
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        var plan = Plan.Create(network, source, Recipe.Uniform(scheme, [Scope.Language], [], algorithm));
        var sink = new ScaleSink();
        var reports = new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, "unused")).Run(samples, sink);

        const string layer = "model.layers.0.";
        return (reports.SelectMany(stage => stage.Modules).ToDictionary(report => report.Name[layer.Length..]),
            sink.Found.ToDictionary(module => module.Key[layer.Length..], module => module.Value),
            onlyFirstToken ? 1 : 96);
    }

    /// <param name="Weight">Of the whole matrix.</param>
    sealed record Scales(float Weight, float? Input);

    sealed class ScaleSink : IQuantizedSink
    {
        public Dictionary<string, Scales> Found { get; } = [];

        public byte[]? FinishedNote(string stage) => null;

        public void Write(QuantizedModule module) => Found.Add(module.Name, new Scales(module.Weight.TensorScale, module.InputScale));

        public void Write(KeyValueScales scales) => throw new NotSupportedException("no cache format was asked for");

        public void Write(string tensor, Nibble.Tensors.Tensor value) => Assert.EndsWith("layernorm.weight", tensor);

        public Nibble.Quant.Runtime.PackedWeight? Read(PlannedModule module) => null;

        public Nibble.Tensors.Tensor? Read(string tensor) => null;

        public void Finish(string stage, ReadOnlySpan<byte> note)
        {
        }
    }
}
