using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Models.Generation;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Reports;
using Nibble.Quant.Runtime;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>What settings of algorithms do to a whole run, where there is no recording to compare with.</summary>
public sealed class SettingsTests
{
    [Fact]
    public void A_searched_alpha_gives_no_larger_error_than_any_tenth()
    {
        var searched = Error(Reports("int8", Algorithm.SmoothQuant, AlgorithmOptions.Default with { SmoothQuantAlpha = null }));
        for (var tenth = 0; tenth <= 10; tenth++)
        {
            var fixedAlpha = Reports("int8", Algorithm.SmoothQuant, AlgorithmOptions.Default with { SmoothQuantAlpha = tenth / 10f });
            Assert.True(searched <= Error(fixedAlpha) * (1 + 1e-9), $"α {tenth / 10f}: {Error(fixedAlpha)}, searched: {searched}");
        }
    }

    /// <summary>Not so INT8: the factors ModelOpt tries go from 0.25 to 4 without a 1, and the nearest to it are 0.94 and 1.04.</summary>
    [Theory]
    [InlineData("int4", ScaleChoice.Mse)]
    [InlineData("nvfp4", ScaleChoice.FourOverSix)]
    [InlineData("nvfp4", ScaleChoice.Sweep)]
    public void Searched_scales_lower_the_error_of_weights(string format, ScaleChoice scales)
    {
        var standard = Reports(format, Algorithm.Max, AlgorithmOptions.Default);
        var searched = Reports(format, Algorithm.Max, AlgorithmOptions.Default with { Scales = scales });
        Assert.True(searched.Average(module => module.WeightError) < standard.Average(module => module.WeightError));
    }

    [Theory]
    [InlineData("int4", ScaleChoice.Importance, ScaleChoice.Mse)]
    [InlineData("w4a16_nvfp4", ScaleChoice.Importance, ScaleChoice.Sweep)]
    [InlineData("w4a16_nvfp4", ScaleChoice.LocalHessian, ScaleChoice.Importance)]
    public void The_more_is_known_of_inputs_the_lower_the_error_of_outputs(string format, ScaleChoice more, ScaleChoice less)
    {
        var (known, unknown) = (Of(more), Of(less));
        Assert.True(Error(known) < Error(unknown), $"{Error(known)} against {Error(unknown)}");

        IReadOnlyList<ModuleReport> Of(ScaleChoice scales) => Reports(format, Algorithm.Max, AlgorithmOptions.Default with { Scales = scales }, alwaysData: true);
    }

    [Fact]
    public void Awq_lowers_the_error_of_outputs_and_says_what_it_chose()
    {
        var plain = Reports("int4", Algorithm.Max, AlgorithmOptions.Default, alwaysData: true);
        var scaled = Reports("int4", Algorithm.Awq, AlgorithmOptions.Default);
        Assert.True(Error(scaled) < Error(plain), $"{Error(scaled)} against {Error(plain)}");
        Assert.All(scaled, module => Assert.Contains(module.Notes, note => note.StartsWith("awq α ", StringComparison.Ordinal)));
        Assert.All(plain, module => Assert.Empty(module.Notes));
    }

    [Fact]
    public void Modules_an_algorithm_does_not_suit_are_quantized_by_largest_magnitudes()
    {
        var recipe = new Recipe(
            [new Rule(new Glob("*mlp*"), Schemes.Find("nvfp4"), Scope.Language), new Rule(new Glob("*self_attn*"), Schemes.Find("fp8"))]);
        var max = Run("llama", recipe, alwaysData: true).Made;
        var awq = Run("llama", recipe with { Algorithm = Algorithm.Awq }).Made;
        Assert.True(SameCodes("self_attn.q_proj"));
        Assert.Null(awq.Modules["model.layers.1.self_attn.q_proj"].PreQuantScale);
        Assert.False(SameCodes("mlp.up_proj"));

        bool SameCodes(string module) => max.Modules[$"model.layers.1.{module}"].Weight.Codes.Span<byte>()
            .SequenceEqual(awq.Modules[$"model.layers.1.{module}"].Weight.Codes.Span<byte>());
    }

    /// <summary>No sample of the calibration has a picture, so the modules of the vision tower are reached by no token.</summary>
    [Theory]
    [InlineData("int8", Algorithm.SmoothQuant, AwqMode.Lite, 32)]
    [InlineData("nvfp4", Algorithm.Awq, AwqMode.Full, 32)]
    [InlineData("nvfp4", Algorithm.SvdQuant, AwqMode.Lite, 8)]
    public void Modules_no_token_reached_are_quantized_without_factors(string format, Algorithm algorithm, AwqMode awq, int rank)
    {
        var recipe = Recipe.Uniform(Schemes.Find(format), [Scope.Vision], [], algorithm) with
        {
            Options = AlgorithmOptions.Default with { Awq = awq, Rank = rank },
        };
        var (reports, made) = Run("vlm", recipe, textOnly: true);
        Assert.All(reports, module => Assert.Contains(module.Notes, note => note.Contains("no token reached it")));
        Assert.All(made.Modules.Values, module => Assert.All(module.PreQuantScale ?? [], factor => Assert.Equal(1, factor)));
        Assert.All(reports, module => Assert.True(module.WeightError is > 0 and < 0.02));
    }

    /// <summary>Without inputs all count alike: the scales are those of the least error of the weights.</summary>
    [Theory]
    [InlineData("w4a16_nvfp4", ScaleChoice.Importance, ScaleChoice.Sweep)]
    [InlineData("w4a16_nvfp4", ScaleChoice.LocalHessian, ScaleChoice.Sweep)]
    [InlineData("int8_wo", ScaleChoice.Importance, ScaleChoice.Mse)]
    public void Scales_chosen_by_inputs_no_token_reached_are_those_of_least_error(string format, ScaleChoice scales, ScaleChoice instead)
    {
        var (reports, made) = Run("vlm", Of(scales), textOnly: true);
        Assert.All(reports, module => Assert.Contains(module.Notes, note => note == "no token reached it, so all inputs count alike"));
        var expected = Run("vlm", Of(instead), alwaysData: true, textOnly: true).Made;
        Assert.NotEmpty(made.Modules);
        Assert.All(made.Modules, module => Assert.Equal(
            expected.Modules[module.Key].Weight.Codes.Span<byte>().ToArray(), module.Value.Weight.Codes.Span<byte>().ToArray()));

        Recipe Of(ScaleChoice choice) => Recipe.Uniform(Schemes.Find(format), [Scope.Vision], []) with
        {
            Options = AlgorithmOptions.Default with { Scales = choice },
        };
    }

    /// <summary>Factors, changed norms and parts of low rank reach the disk and come back.</summary>
    [Theory]
    [InlineData("int4", Algorithm.Awq)]
    [InlineData("nvfp4", Algorithm.Awq)]
    [InlineData("nvfp4", Algorithm.SvdQuant)]
    [InlineData("int8", Algorithm.SmoothQuant)]
    public void A_checkpoint_that_is_read_back_computes_what_was_made(string format, Algorithm algorithm)
    {
        using var folder = new TemporaryFolder();
        using var source = CheckpointFolder.Open(Repository.Path("samples/shapes-vlm"));
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        var plan = Plan.Create(network, source, Recipe.Uniform(Schemes.Find(format), [Scope.Language], [], algorithm));
        var samples = new SampleList([.. Enumerable.Range(0, 3).Select(i => new Sample([.. Enumerable.Range(20 + 30 * i, 24)]))]);
        var made = new QuantizedInMemory(source, new DenseModules(source));
        new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, "")).Run(samples, made);
        using (var writer = CheckpointWriter.Open(folder.Path, ModelOptSink.Declare(plan, source), new CheckpointOptions()))
        {
            foreach (var tensor in plan.Copied)
                writer.Write(tensor.Name, source.Load(tensor.Name));
            new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, "")).Run(samples, new ModelOptSink(writer));
            writer.Complete(ModelOptLayout.Configs(source, [.. plan.Quantized.Select(module => (module.Name, module.Scheme!))], null));
        }
        using var written = QuantizedCheckpoint.Open(folder.Path);
        var expected = new Generator(network, new Weights(made, made)).Logits(samples.Load(1));
        var actual = new Generator(network, new Weights(written, written)).Logits(samples.Load(1));
        Close.Assert(expected.Span<float>(), actual.Span<float>(), 0, 1e-4);
    }

    static double Error(IEnumerable<ModuleReport> modules) => modules.Sum(module => module.TextError!.Value);

    static IReadOnlyList<ModuleReport> Reports(string format, Algorithm algorithm, AlgorithmOptions options, bool alwaysData = false) =>
        Run("llama", Recipe.Uniform(Schemes.Find(format), [Scope.Language], [], algorithm) with { Options = options }, alwaysData).Reports;

    /// <param name="alwaysData">Whether samples are run even if the recipe needs none.</param>
    static (IReadOnlyList<ModuleReport> Reports, QuantizedInMemory Made) Run(
        string model, Recipe recipe, bool alwaysData = false, bool textOnly = false)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture($"modelopt/models/{model}"));
        using var calibration = SafetensorsFile.Open(Path.Combine(source.Path, "calib.safetensors"));
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        var keyValues = alwaysData ? Schemes.FindKeyValues("fp8") : recipe.KeyValues;
        var plan = Plan.Create(network, source, recipe with { KeyValues = keyValues });
        Assert.Empty(plan.Problems);
        ISampleSource samples = new TokenSamples(calibration, "calib");
        if (textOnly)
            samples = new SampleList([new Sample([5, 6, 7, 8])]);
        var made = new QuantizedInMemory(source, new DenseModules(source), keyValues);
        var reports = new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, "")).Run(samples, made);
        return ([.. reports.SelectMany(stage => stage.Modules)], made);
    }
}
