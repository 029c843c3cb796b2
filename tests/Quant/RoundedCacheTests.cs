using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tests.Quant.Formats;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>The quantized stream of a sequential algorithm has rounded keys and values, whether their scales are calibrated or constant.</summary>
public sealed class RoundedCacheTests
{
    [Theory]
    [InlineData("nvfp4")]
    [InlineData("nvfp4_cast")]
    [InlineData("fp8_cast")]
    public void What_comes_behind_a_rounded_cache_is_chosen_by_it(string cache)
    {
        Dictionary<string, string> without = Codes(null), with = Codes(Schemes.FindKeyValues(cache));
        Assert.Equal(without["self_attn.q_proj"], with["self_attn.q_proj"]);
        Assert.NotEqual(without["self_attn.o_proj"], with["self_attn.o_proj"]);
    }

    /// <summary>Of the first block.</summary>
    static Dictionary<string, string> Codes(KeyValueFormat? cache)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/llama"));
        using var file = SafetensorsFile.Open(Path.Combine(source.Path, "calib.safetensors"));
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        var plan = Plan.Create(network, source, Recipe.Uniform(Schemes.Find("int4"), [Scope.Language], ["model.layers.1.*"], Algorithm.Gptq, cache));
        var quantized = new QuantizedInMemory(source, new DenseModules(source), cache);
        new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, "unused")).Run(new TokenSamples(file, file.Path), quantized);
        return quantized.Modules.ToDictionary(module => module.Key["model.layers.0.".Length..], module => Fingerprint.Of(module.Value.Weight.Codes));
    }
}
