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

    [Fact]
    public void Experts_without_tokens_have_the_input_scale_of_the_others()
    {
        var (reports, modules, _) = Quantize(Schemes.Find("nvfp4")!, Algorithm.Max, onlyFirstToken: true);
        foreach (var name in (string[])["gate_proj", "up_proj", "down_proj"])
        {
            var own = Enumerable.Range(0, Experts).Select(expert => reports[$"mlp.experts.{expert}.{name}"]).ToList();
            Assert.Equal([0, 0, 1, 1], own.Select(report => report.TextTokens).Order());
            Assert.All(own.Where(report => report.TextTokens == 0), report => Assert.Null(report.TextError));
            var scales = Enumerable.Range(0, Experts).Select(expert => modules[$"mlp.experts.{expert}.{name}"].InputScale).Distinct();
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
        float Scale(int expert, string name) => modules[$"mlp.experts.{expert}.{name}"].Weight.TensorScale;
        for (var expert = 0; expert < Experts; expert++)
            Assert.Equal(shared, Scale(expert, "gate_proj") == Scale(expert, "up_proj"));
        Assert.Equal(Experts, Enumerable.Range(0, Experts).Select(expert => Scale(expert, "gate_proj")).Distinct().Count());
        Assert.NotEqual(Scale(1, "gate_proj"), Scale(1, "down_proj"));
    }

    static (Dictionary<string, ModuleReport> Reports, Dictionary<string, QuantizedModule> Modules, int Tokens) Quantize(
        Scheme scheme, Algorithm algorithm, bool onlyFirstToken)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/moe"));
        using var file = SafetensorsFile.Open(Path.Combine(source.Path, "calib.safetensors"));
        ISampleSource samples = new TokenSamples(file, file.Path);
        if (onlyFirstToken)
            samples = new SampleList([new Sample(samples.Load(0).Ids[0])]);
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        var plan = Plan.Create(network, source, Recipe.Uniform(scheme, [Scope.Language], [], algorithm));
        var sink = new QuantizedModules();
        var reports = new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, "unused")).Run(samples, sink);

        const string layer = "model.layers.0.";
        return (reports.SelectMany(stage => stage.Modules).ToDictionary(report => report.Name[layer.Length..]),
            sink.Found.ToDictionary(module => module.Key[layer.Length..], module => module.Value),
            Enumerable.Range(0, samples.Count).Sum(i => samples.Load(i).Ids.Length));
    }
}
