using Nibble.Export;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tests.Quant.Formats;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>
/// Which matrices share a tensor scale. The largest magnitudes are those ModelOpt 0.47 recorded of each weight by itself.
/// </summary>
public sealed class SharedScaleTests
{
    static readonly string[][] fused =
    [
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], ["self_attn.o_proj"],
        ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"],
    ];

    [Theory]
    [InlineData(Algorithm.Max, true)]
    [InlineData(Algorithm.Rtn, false)]
    public void Nvfp4_is_shared_among_fused_matrices_unless_each_is_rounded_by_itself(Algorithm algorithm, bool shared) =>
        Check(new NvFp4(), algorithm, shared, range: 6 * 448);

    [Theory]
    [InlineData(Algorithm.Max)]
    [InlineData(Algorithm.Rtn)]
    public void Fp8_is_never_shared(Algorithm algorithm) => Check(new Fp8(), algorithm, shared: false, range: 448);

    static void Check(WeightFormat format, Algorithm algorithm, bool shared, float range)
    {
        var made = Quantize(new Scheme("weights", format, null), algorithm);
        using var recording = ModelOpt.Json("exports/llama/nvfp4.json");
        var amax = recording.RootElement.GetProperty("amax");
        for (var layer = 0; layer < 2; layer++)
            foreach (var group in fused)
            {
                var names = group.Select(name => $"model.layers.{layer}.{name}").ToList();
                var own = names.Select(name => amax.GetProperty($"{name}.weight_quantizer").GetSingle()).ToList();
                for (var i = 0; i < names.Count; i++)
                    Assert.Equal((shared ? own.Max() : own[i]) / range, made[names[i]].Weight.TensorScale);
            }
    }

    static IReadOnlyDictionary<string, PackedWeight> Quantize(Scheme scheme, Algorithm algorithm)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/llama"));
        var network = Networks.Create(ModelConfig.Parse(source.Config.Span, "config.json"), source);
        var plan = Plan.Create(network, source, Recipe.Uniform(scheme, [Scope.Language], [], algorithm));
        var quantized = new QuantizedInMemory(source, new DenseModules(source));
        new Quantizer(network, source, plan, new QuantizerOptions(0, "")).Run(null, quantized);
        return quantized.Modules;
    }
}
