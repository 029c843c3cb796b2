using Nibble.Export;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Planning;

public sealed class InputFactorsTests
{
    [Theory]
    [InlineData("llama", "int4", Algorithm.Awq, "o_proj, down_proj", 4)]
    [InlineData("llama", "w4a8", Algorithm.Awq, "o_proj, down_proj", 4)]
    [InlineData("llama", "nvfp4", Algorithm.Awq, "o_proj", 4)]
    [InlineData("vlm", "nvfp4", Algorithm.Awq, "o_proj, down_proj", 4)] // ModelOpt folds down_proj into up_proj in some networks only
    [InlineData("llama", "nvfp4", Algorithm.SvdQuant, "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj", 0)]
    [InlineData("vlm", "int8", Algorithm.SmoothQuant, "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj", 0)]
    [InlineData("llama", "nvfp4", Algorithm.Max, "", 0)]
    public void Factors_go_where_ModelOpt_puts_them(string model, string format, Algorithm algorithm, string kept, int norms)
    {
        var plan = Plan(model, Recipe.Uniform(Schemes.Find(format), [Scope.Language], [], algorithm));
        Assert.Empty(plan.Problems);
        Assert.Equal(kept, string.Join(", ", plan.Quantized.Where(module => module.Stage.EndsWith(".1", StringComparison.Ordinal)
            && module.KeepsPreQuantScale).Select(module => module.Name[(module.Name.LastIndexOf('.') + 1)..])));
        Assert.Equal(norms, plan.Changed.Count);
        Assert.DoesNotContain(plan.Changed, plan.Copied.Contains);
        Assert.All(plan.Quantized, module => Assert.Equal(algorithm != Algorithm.Max, module.Scheme!.PreQuantScale));
        Assert.All(plan.Quantized, module => Assert.Equal(module.Scheme!.PreQuantScale, module.KeepsPreQuantScale || module.FoldedInto is not null));
    }

    [Fact]
    public void Clipping_alone_has_no_factors()
    {
        var recipe = Recipe.Uniform(Schemes.Find("int4"), [Scope.Language], [], Algorithm.Awq);
        var plan = Plan("llama", recipe with { Options = new AlgorithmOptions(AwqMode.Clip) });
        Assert.All(plan.Quantized, module => Assert.False(module.Scheme!.PreQuantScale || module.KeepsPreQuantScale || module.FoldedInto is not null));
    }

    [Fact]
    public void A_norm_takes_no_factors_that_not_all_modules_behind_it_have()
    {
        var plan = Plan("llama", new Recipe(
        [
            new Rule(new Glob("*"), Schemes.Find("int4"), Scope.Language),
            new Rule(new Glob("*.1.self_attn.[qkv]_proj"), Schemes.Find("fp8")),
            new Rule(new Glob("*.1.mlp.up_proj"), null), new Rule(new Glob("*.1.mlp.gate_proj"), null), new Rule(new Glob("lm_head"), null),
        ], Algorithm.Awq));
        Assert.Empty(plan.Problems);
        Assert.Equal(2, plan.Changed.Count(tensor => tensor.Name.Contains("layers.0.")));
        Assert.DoesNotContain(plan.Changed, tensor => tensor.Name.Contains("layers.1."));
        Assert.True(plan.Find("model.layers.1.mlp.down_proj").KeepsPreQuantScale);
        Assert.False(plan.Find("model.layers.1.self_attn.q_proj").Scheme!.PreQuantScale);
        plan = Plan("llama", Recipe.Uniform(Schemes.Find("int4"), [Scope.Language], ["*.1.mlp.up_proj"], Algorithm.Awq));
        Assert.Single(plan.Problems); // runtimes fuse the two
        Assert.Null(plan.Find("model.layers.1.mlp.gate_proj").FoldedInto);
    }

    /// <summary>k and v have 64 outputs; q, k and v have one A.</summary>
    [Fact]
    public void Modules_too_small_for_the_rank_stay_whole_with_those_they_are_fused_with()
    {
        var recipe = Recipe.Uniform(Schemes.Find("nvfp4"), [Scope.Language], [], Algorithm.SvdQuant);
        var plan = Plan("llama", recipe with { Options = new AlgorithmOptions(Rank: 100) });
        Assert.Empty(plan.Problems);
        Assert.Equal([0, 0, 0, 100, 100, 100, 100], plan.Quantized.Take(7).Select(module => module.LowRank));
        Assert.Equal(plan.Quantized.Select(module => module.LowRank), plan.Quantized.Select(module => module.Scheme!.LowRank));
    }

    [Theory]
    [InlineData("fp8", Algorithm.SmoothQuant, "needs INT8")]
    [InlineData("fp8", Algorithm.Awq, "needs weights")]
    [InlineData("w4a16_nvfp4", Algorithm.Awq, "needs weights")]
    [InlineData("int4", Algorithm.SvdQuant, "needs nvfp4")]
    public void A_format_an_algorithm_has_no_meaning_for_is_refused(string format, Algorithm algorithm, string told) =>
        Assert.Contains(Plan("llama", Recipe.Uniform(Schemes.Find(format), [Scope.Language], [], algorithm)).Problems, problem => problem.Contains(told));

    public static TheoryData<string, Algorithm, AlgorithmOptions, string> BadSettings => new()
    {
        { "int4", Algorithm.Max, new AlgorithmOptions(Scales: ScaleChoice.Sweep), "scales sweep needs NVFP4" },
        { "nvfp4", Algorithm.Max, new AlgorithmOptions(Scales: ScaleChoice.Mse), "scales mse needs" },
        { "mxfp4", Algorithm.Max, new AlgorithmOptions(Scales: ScaleChoice.Importance), "scales importance needs" },
        { "int4", Algorithm.Awq, new AlgorithmOptions(Scales: ScaleChoice.Mse), "scales mse means nothing to the algorithm awq" },
        { "int4", Algorithm.Max, new AlgorithmOptions(Rank: 8), "rank 8 means nothing" },
        { "int4", Algorithm.Awq, new AlgorithmOptions(AwqStep: 0), "awq_step 0" },
        { "int8", Algorithm.SmoothQuant, new AlgorithmOptions(SmoothQuantAlpha: 1.5f), "smoothquant_alpha 1.5" },
        { "nvfp4", Algorithm.SvdQuant, new AlgorithmOptions(Rank: 0), "rank 0" },
    };

    [Theory, MemberData(nameof(BadSettings))]
    public void A_setting_without_meaning_is_refused(string format, Algorithm algorithm, AlgorithmOptions options, string told)
    {
        var recipe = Recipe.Uniform(Schemes.Find(format), [Scope.Language], [], algorithm) with { Options = options };
        Assert.Contains(Plan("llama", recipe).Problems, problem => problem.Contains(told));
    }

    [Theory]
    [InlineData(ScaleChoice.Sweep, false)]
    [InlineData(ScaleChoice.LocalHessian, true)]
    [InlineData(ScaleChoice.Importance, true)]
    public void Scales_chosen_by_inputs_need_data(ScaleChoice scales, bool data)
    {
        var recipe = Recipe.Uniform(Schemes.Find("w4a16_nvfp4"), [Scope.Language], []) with { Options = new AlgorithmOptions(Scales: scales) };
        Assert.Equal(data, Plan("llama", recipe).NeedsData);
    }

    [Theory]
    [InlineData("fast", "int4", Algorithm.Max)]
    [InlineData("balanced", "nvfp4", Algorithm.Gptq)]
    [InlineData("balanced", "int8", Algorithm.SmoothQuant)]
    [InlineData("balanced", "fp8", Algorithm.Max)]
    [InlineData("best", "fp8", Algorithm.Best)]
    public void A_quality_is_an_algorithm_that_suits_the_format(string quality, string format, Algorithm algorithm) =>
        Assert.Equal(algorithm, Qualities.Choose(Words.Find<Quality>(quality)!.Value, [Schemes.Find(format)!]));

    [Fact]
    public void Every_preset_names_a_scheme_it_suits_and_no_scheme_has_its_name()
    {
        foreach (var preset in FormatPresets.All)
        {
            Assert.All(preset.Aliases.Prepend(preset.Name), name => Assert.Null(Schemes.Find(name)));
            Assert.All(preset.Aliases.Prepend(preset.Name), name => Assert.Same(preset, FormatPresets.Find(name.Replace('_', '-'))));
            var recipe = Recipe.Uniform(FormatPresets.SchemeOf(preset), [Scope.Language], [], preset.Algorithm) with { Options = preset.Options };
            Assert.Empty(Plan("llama", recipe).Problems);
        }
    }

    static Plan Plan(string model, Recipe recipe)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture($"modelopt/models/{model}"));
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        return Nibble.Quant.Planning.Plan.Create(network, source, recipe);
    }
}
