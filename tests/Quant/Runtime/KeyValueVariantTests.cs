using System.Text.Json;
using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Models.Generation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Runtime;

/// <summary>Caches alone, with the scales and biases ModelOpt 0.47 exported, against the logits of its simulation.</summary>
public sealed class KeyValueVariantTests
{
    /// <summary>Logits; 4e-6 measured.</summary>
    const double LogitTolerance = 1e-3;

    [Theory]
    [InlineData("fp8")]
    [InlineData("fp8_cast")]
    [InlineData("fp8_affine")]
    [InlineData("nvfp4")]
    [InlineData("nvfp4_cast")]
    [InlineData("nvfp4_affine")]
    [InlineData("nvfp4_rotate")]
    public void Logits_are_those_of_the_simulation(string name)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/llama"));
        using var calibration = SafetensorsFile.Open(Repository.Fixture("modelopt/models/llama/calib.safetensors"));
        using var recorded = SafetensorsFile.Open(Repository.Fixture($"modelopt/exports/llama/kvonly--kv_{name}.safetensors"));
        var logits = recorded.Load("fakequant_logits_last4");
        var expected = logits.Reshape(logits.Rows, logits.Columns);
        var sample = new TokenSamples(calibration, "calib").Load(0);
        var actual = Logits(name).Slice(sample.Ids.Length - expected.Rows, expected.Rows);
        for (var token = 0; token < expected.Rows; token++)
            Close.Assert(expected.Row(token), actual.Row(token), 0, LogitTolerance, $"token {token}");

        Tensor Logits(string name)
        {
            var network = Networks.Create(ModelConfig.Parse(source.Config.Span, source.Path), source);
            return new Generator(network, new Weights(source, new Cached(source, name))).Logits(sample);
        }
    }

    [Fact]
    public void A_bias_is_taken_off_before_the_rounding_and_put_back_after_it()
    {
        var format = new Fp8KeyValues(KeyValueVariant.Affine);
        using Tensor keys = Draw.Tensor(1, 5, 2, 32), values = Draw.Tensor(2, 5, 2, 32);
        using Tensor keyBias = Draw.Tensor(3, 1, 2, 1, 32), valueBias = Draw.Tensor(4, 1, 2, 1, 32);
        using Tensor k = keys.Clone(), v = values.Clone();
        new QuantizedKeyValues(format, 0.01f, 0.02f) { KeyBias = keyBias, ValueBias = valueBias }.Apply(k, v);
        for (var row = 0; row < keys.Rows; row++)
            for (var i = 0; i < 32; i++)
            {
                Assert.Equal(Rounded(keys.Row(row)[i], keyBias.Row(row % 2)[i], 0.01f), k.Row(row)[i]);
                Assert.Equal(Rounded(values.Row(row)[i], valueBias.Row(row % 2)[i], 0.02f), v.Row(row)[i]);
            }
        using var other = Draw.Tensor(3, 1, 3, 1, 32);
        Assert.Throws<Nibble.Quant.QuantizationException>(() =>
            new QuantizedKeyValues(format, 1, 1) { KeyBias = other, ValueBias = other }.Apply(k, v));

        static float Rounded(float x, float bias, float scale) =>
            Float8.FromE4M3(Float8.ToE4M3((x - bias) / scale)) * scale + bias;
    }

    /// <summary>Plain weights, and a cache with what was exported for it.</summary>
    sealed class Cached(ITensorSource source, string name) : IModuleSource
    {
        readonly JsonElement tensors = JsonDocument.Parse(
            File.ReadAllBytes(Repository.Fixture($"modelopt/exports/llama/kvonly--kv_{name}.json"))).RootElement.GetProperty("tensors");

        public ILinearWeight Linear(string module) => new DenseWeight(source.Load($"{module}.weight"));

        public IKeyValueFilter KeyValues(string attention)
        {
            var format = Schemes.FindKeyValues(name)!;
            return new QuantizedKeyValues(format, Scale($"{attention}.k_proj.k_scale"), Scale($"{attention}.v_proj.v_scale"))
            {
                KeyBias = format.Centred ? Recorded($"{attention}.k_proj.k_bias") : null,
                ValueBias = format.Centred ? Recorded($"{attention}.v_proj.v_bias") : null,
            };
        }

        float Scale(string tensor) => tensors.TryGetProperty(tensor, out _) ? Recorded(tensor)!.Span<float>()[0] : 1;

        Tensor? Recorded(string tensor)
        {
            using var kept = SafetensorsFile.Open(
                Repository.Fixture($"modelopt/exports/llama/{tensors.GetProperty(tensor)[3].GetString()}.safetensors"));
            return kept.Load(tensor).Clone();
        }
    }
}
