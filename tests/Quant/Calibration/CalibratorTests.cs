using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Reports;
using Nibble.Tensors;
using Nibble.Tests.Quant.Formats;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Calibration;

/// <summary>What one run over a model learns, against what ModelOpt 0.47 exported of the same model and tokens.</summary>
public sealed class CalibratorTests
{
    /// <summary>Ranges relative; 3e-7 measured.</summary>
    const double Ranges = 1e-5;

    /// <summary>Means of channels; activations of two layers in F32, 3e-7 measured.</summary>
    const double Biases = 2e-6;

    [Fact]
    public void Ranges_with_headroom_are_the_recorded_ones()
    {
        using var json = ModelOpt.Json("exports/llama/nvfp4_act_headroom.json");
        var amax = json.RootElement.GetProperty("amax");
        var stages = Run();
        foreach (var (group, inputs) in stages.SelectMany(stage => stage.Groups.Zip(stage.Inputs)))
            foreach (var module in group.Modules.Where(module => module != "lm_head"))
            {
                var expected = amax.GetProperty(module + ".input_quantizer").GetDouble();
                var range = ActivationRange.Parse("headroom")!.Of(inputs!, new NvFp4Activation());
                Assert.InRange(range / expected, 1 - Ranges, 1 + Ranges);
            }
        Assert.Equal(15, stages.Sum(stage => stage.Groups.Sum(group => group.Modules.Count)));
    }

    /// <summary>Rotated keys, and what is left of keys and values without the mean of their batches so far.</summary>
    [Theory]
    [InlineData("nvfp4_rotate")]
    [InlineData("fp8_affine")]
    [InlineData("nvfp4_affine")]
    public void Ranges_of_caches_are_the_recorded_ones(string name)
    {
        using var json = ModelOpt.Json($"exports/llama/kvonly--kv_{name}.json");
        var amax = json.RootElement.GetProperty("amax");
        var format = Schemes.FindKeyValues(name)!;
        var caches = Run().SelectMany(stage => stage.Caches).ToList();
        Assert.Equal(2, caches.Count);
        foreach (var (attention, cache) in caches)
        {
            Assert.InRange(
                cache.KeyAmaxFor(format) / amax.GetProperty(attention + ".k_bmm_quantizer").GetDouble(), 1 - Ranges, 1 + Ranges);
            Assert.InRange(
                cache.ValueAmaxFor(format) / amax.GetProperty(attention + ".v_bmm_quantizer").GetDouble(), 1 - Ranges, 1 + Ranges);
        }
    }

    [Fact]
    public void Biases_are_the_recorded_ones()
    {
        using var export = SafetensorsFile.Open(Repository.Fixture("modelopt/lab/llama-fp8--kv_fp8_affine.safetensors"));
        var format = new Fp8KeyValues(KeyValueVariant.Affine);
        foreach (var (attention, cache) in Run().SelectMany(stage => stage.Caches))
        {
            Check($"{attention}.k_proj.k_bias", KeyValueReport.Of(attention, cache, format).Scales(format).KeyBias!);
            Check($"{attention}.v_proj.v_bias", KeyValueReport.Of(attention, cache, format).Scales(format).ValueBias!);
        }

        void Check(string name, Tensor bias)
        {
            var expected = export.Load(name);
            Assert.Equal(expected.Shape, bias.Shape);
            Close.Scaled([.. expected.Span<float>().ToArray().Select(value => (double)value)], bias.Span<float>(), Biases, name);
        }
    }

    [Fact]
    public void What_an_earlier_run_finished_is_not_gathered_again()
    {
        List<StageStatistics> first = Run(), second = Run(stage => stage != "model.layers.1");
        Assert.Equal(["model.layers.1"], second.Select(stage => stage.Stage));
        var expected = first.Single(stage => stage.Stage == "model.layers.1");
        Assert.Equal(expected.ToTensors().Select(Fingerprint), second[0].ToTensors().Select(Fingerprint));

        static string Fingerprint((string Name, Tensor Tensor) entry) => $"{entry.Name} {Formats.Fingerprint.Of(entry.Tensor)}";
    }

    static List<StageStatistics> Run(Func<string, bool>? finished = null)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/llama"));
        using var calibration = SafetensorsFile.Open(Repository.Fixture("modelopt/models/llama/calib.safetensors"));
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "llama"), source);
        var stages = new List<StageStatistics>();
        new Calibrator(network, source, (_, _) => new StatisticNeeds(Headroom: true), new QuantizerOptions(long.MaxValue, "unused", 0))
            .Run(new TokenSamples(calibration, "llama"), finished ?? (_ => false), stages.Add);
        return stages;
    }
}
