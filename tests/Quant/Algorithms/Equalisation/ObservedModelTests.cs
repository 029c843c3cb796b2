using System.Text.Json;
using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Models.Generation;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Quant.Formats;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms.Equalisation;

/// <summary>
/// Statistics of a whole model's inputs, keys and values, against checkpoints ModelOpt made of the same tokens.
/// </summary>
public sealed class ObservedModelTests
{
    /// <summary>Biases and ranges of a cache: activations of two layers in F32, 3.0e-7 measured.</summary>
    const double Activations = 2e-6;

    /// <summary>
    /// ModelOpt gathers these moments of inputs as they come, before the layer rounds them, in a model whose inputs are already
    /// rounded to NVFP4 by largest magnitudes and whose weights are not.
    /// </summary>
    [Fact]
    public void Local_Hessian_scales_have_the_exported_bytes()
    {
        using var export = ModelOpt.Json("lab/llama-nvfp4_w4a4_weight_local_hessian.json");
        using var source = ModelOpt.Model("llama");
        var expected = export.RootElement.GetProperty("tensors").EnumerateObject()
            .ToDictionary(tensor => tensor.Name, tensor => tensor.Value[2].GetString()!);
        var simulated = Observe((module, inner) => new RoundedInputs(inner,
            export.RootElement.GetProperty("amax").GetProperty(module + ".input_quantizer").GetSingle()));
        Assert.Equal(14, simulated.Moments.Count);
        foreach (var (module, moments) in simulated.Moments)
        {
            var weight = source.Load(module + ".weight");
            var shared = SharedAmax(source, module);
            var quantized = NvFp4ScaleSearch.LocalHessian(weight, moments, shared).Quantize(weight);
            Assert.True(expected[module + ".weight"] == Fingerprint.Of(quantized.Codes), module);
            Assert.True(expected[module + ".weight_scale"] == Fingerprint.Of(quantized.Scales!), module);
            Assert.True(expected[module + ".weight_scale_2"] == Fingerprint.Of(quantized.TensorScale), module);
        }
    }

    [Fact]
    public void Centred_caches_equal_the_export()
    {
        using var json = ModelOpt.Json("lab/llama-fp8--kv_fp8_affine.json");
        using var export = SafetensorsFile.Open(Repository.Fixture("modelopt/lab/llama-fp8--kv_fp8_affine.safetensors"));
        var observed = Observe((_, inner) => inner);
        Assert.Equal(4, observed.Caches.Count);
        foreach (var (name, cache) in observed.Caches)
        {
            var (module, part) = (name[..^2], name[^1]);
            var amax = json.RootElement.GetProperty("amax").GetProperty($"{module}.{part}_bmm_quantizer").GetDouble();
            Lab.Near(amax, cache.Amax, Activations);
            double[] bias = [.. export.Load($"{module}.{part}_proj.{part}_bias").Span<float>().ToArray().Select(b => (double)b)];
            Close.Scaled(bias, cache.Bias(), Activations, name);
        }
    }

    static string[] Fused(string module)
    {
        string[][] groups = [["q_proj", "k_proj", "v_proj"], ["gate_proj", "up_proj"]];
        var at = module.LastIndexOf('.') + 1;
        var group = groups.FirstOrDefault(names => names.Contains(module[at..])) ?? [module[at..]];
        return [.. group.Select(name => module[..at] + name)];
    }

    static float SharedAmax(ITensorSource source, string module) =>
        Fused(module).Max(name => WeightQuantizer.AbsMax(source.Load(name + ".weight")));

    static Observations Observe(Func<string, ILinearWeight, ILinearWeight> linear)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture("modelopt/models/llama"));
        using var calibration = SafetensorsFile.Open(Repository.Fixture("modelopt/models/llama/calib.safetensors"));
        var path = Repository.Fixture("modelopt/models/llama/config.json");
        var network = Networks.Create(ModelConfig.Parse(File.ReadAllBytes(path), path), source);
        var result = new Observations(source, linear);
        var samples = new TokenSamples(calibration, "llama");
        var generator = new Generator(network, new Weights(source, result));
        for (var i = 0; i < samples.Count; i++)
            generator.Logits(samples.Load(i)).Dispose();
        return result;
    }

    sealed class Observations(ITensorSource source, Func<string, ILinearWeight, ILinearWeight> linear) : IModuleSource
    {
        public Dictionary<string, BlockMoments> Moments { get; } = [];

        public Dictionary<string, CenteredCache> Caches { get; } = [];

        public ILinearWeight Linear(string module)
        {
            var dense = new DenseModules(source).Linear(module);
            return module.Contains("lm_head") ? dense : new Watched(
                linear(module, dense), Moments[module] = new BlockMoments(module, dense.Columns, 16));
        }

        public IKeyValueFilter? KeyValues(string attention) => new Centring(
            Caches[attention + ".k"] = new CenteredCache(attention, 64),
            Caches[attention + ".v"] = new CenteredCache(attention, 64));
    }

    /// <summary>The recorded batches are of two sequences each; here they come one by one.</summary>
    sealed class Centring(CenteredCache keys, CenteredCache values) : IKeyValueFilter
    {
        int sequences;

        public void Apply(Tensor keyRows, Tensor valueRows)
        {
            var batch = sequences++ / 2;
            keys.Observe(keyRows.Reshape(keyRows.Shape[0], 64), batch);
            values.Observe(valueRows.Reshape(valueRows.Shape[0], 64), batch);
        }
    }

    sealed class RoundedInputs(ILinearWeight weight, float amax) : ILinearWeight
    {
        public int Rows => weight.Rows;

        public int Columns => weight.Columns;

        public long Bytes => weight.Bytes;

        public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

        public void Multiply(Tensor x, Tensor y) => weight.Multiply(Lab.AsNvFp4(x.Clone(), amax), y);
    }

    sealed class Watched(ILinearWeight weight, BlockMoments moments) : ILinearWeight
    {
        public int Rows => weight.Rows;

        public int Columns => weight.Columns;

        public long Bytes => weight.Bytes;

        public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

        public void Multiply(Tensor x, Tensor y)
        {
            moments.Observe(x);
            weight.Multiply(x, y);
        }
    }
}
