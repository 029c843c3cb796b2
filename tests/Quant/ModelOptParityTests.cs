using System.Security.Cryptography;
using System.Text.Json;
using Nibble.Export;
using Nibble.Export.Layouts;
using Nibble.Export.Safetensors;
using Nibble.Export.Verification;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Models.Generation;
using Nibble.Quant;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>
/// Whole runs against checkpoints ModelOpt 0.47 exported from the same weights and the same calibration tokens: bytes of codes and
/// weight scales, activation and cache scales, both configurations, and the logits of its simulated-quantized model.
/// </summary>
public sealed class ModelOptParityTests
{
    /// <summary>Activation and cache scales, float32 against float64 in the recording: 4e-7; its README asks for 1e-5.</summary>
    const double ScaleTolerance = 1e-5;

    /// <summary>Simulated logits, float32 against float64 in the recording: 6e-5; its README allows 1e-3.</summary>
    const double LogitTolerance = 1e-3;

    public static TheoryData<string, string> Recordings()
    {
        var data = new TheoryData<string, string>();
        foreach (var model in (string[])["llama", "vlm"])
            foreach (var file in Directory.GetFiles(Repository.Fixture($"modelopt/exports/{model}"), "*.json").Order(StringComparer.Ordinal))
                data.Add(model, Path.GetFileNameWithoutExtension(file));
        return data;
    }

    [Theory, MemberData(nameof(Recordings))]
    public void A_run_writes_what_ModelOpt_exports(string model, string recording)
    {
        using var folder = new TemporaryFolder();
        using var json = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture($"modelopt/exports/{model}/{recording}.json")));
        Run(model, recording, json.RootElement, folder.Path);

        using var written = CheckpointFolder.Open(folder.Path);
        CompareTensors(model, json.RootElement.GetProperty("tensors"), written);
        Same(json.RootElement.GetProperty("hf_quant_config"), written.HfQuantConfig!.Value, "hf_quant_config");
        Same(json.RootElement.GetProperty("quantization_config"), written.QuantizationConfig!.Value, "quantization_config");
    }

    [Theory, MemberData(nameof(Recordings))]
    public void The_written_checkpoint_computes_what_ModelOpt_simulates(string model, string recording)
    {
        using var folder = new TemporaryFolder();
        using var json = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture($"modelopt/exports/{model}/{recording}.json")));
        Run(model, recording, json.RootElement, folder.Path);

        using var recorded = SafetensorsFile.Open(Repository.Fixture($"modelopt/exports/{model}/{recording}.safetensors"));
        using var checkpoint = QuantizedCheckpoint.Open(folder.Path);
        using var calibration = SafetensorsFile.Open(Repository.Fixture($"modelopt/models/{model}/calib.safetensors"));
        var network = Network(model, checkpoint);
        using var logits = new Generator(network, new Weights(checkpoint, checkpoint)).Logits(new TokenSamples(calibration, model).Load(0));
        var all = recorded.Find("fakequant_logits") is not null;
        var expected = recorded.Load(all ? "fakequant_logits" : "fakequant_logits_last4").Span<float>();
        var actual = logits.Span<float>()[^expected.Length..];
        for (var i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= LogitTolerance,
                $"logit {i} of {expected.Length}: expected {expected[i]}, found {actual[i]}");
    }

    /// <summary>As <c>nibble quantize</c> does it.</summary>
    static void Run(string model, string recording, JsonElement json, string output)
    {
        using var source = CheckpointFolder.Open(Repository.Fixture($"modelopt/models/{model}"));
        using var calibration = SafetensorsFile.Open(Repository.Fixture($"modelopt/models/{model}/calib.safetensors"));
        var network = Network(model, source);
        var preset = json.GetProperty("preset").GetString();
        var kv = json.GetProperty("kv").GetString();
        var keyValues = kv is null ? null : Schemes.FindKeyValues(kv);
        var scheme = recording.StartsWith("kvonly", StringComparison.Ordinal) ? null : Schemes.Find(preset!);
        var plan = Plan.Create(network, source, Recipe.Uniform(scheme, [Scope.Language], [], Algorithm.Max, keyValues));
        Assert.Empty(plan.Problems);

        using var writer = CheckpointWriter.Open(output, ModelOptSink.Declare(plan, source), new CheckpointOptions());
        foreach (var tensor in plan.Copied)
            writer.Write(tensor.Name, source.Load(tensor.Name));
        new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, Path.Combine(output, "spill")))
            .Run(Samples(recording, calibration, model), new ModelOptSink(writer));
        writer.Complete(ModelOptLayout.Configs(source, [.. plan.Quantized.Select(module => (module.Name, module.Scheme!))], keyValues));
        Assert.DoesNotContain(CheckpointVerifier.Verify(output, Target.Transformers),
            finding => finding.Rule is not ("algorithm-accepted" or "cache-accepted"));
    }

    /// <summary>The recording <c>textonly-*</c> replaced picture tokens by token 5 and gave no pixels.</summary>
    static ISampleSource Samples(string recording, SafetensorsFile calibration, string model)
    {
        var samples = new TokenSamples(calibration, model);
        if (!recording.StartsWith("textonly", StringComparison.Ordinal))
            return samples;
        const int picture = 120, substitute = 5;
        return new SampleList([.. Enumerable.Range(0, samples.Count)
            .Select(i => new Sample([.. samples.Load(i).Ids.Select(id => id == picture ? substitute : id)]))]);
    }

    static INetwork Network(string model, ITensorSource names)
    {
        var path = Repository.Fixture($"modelopt/models/{model}/config.json");
        return Networks.Create(ModelConfig.Parse(File.ReadAllBytes(path), path), names);
    }

    static void CompareTensors(string model, JsonElement recorded, CheckpointFolder written)
    {
        using var source = SafetensorsFile.Open(Repository.Fixture($"modelopt/models/{model}/model.safetensors"));
        Assert.Equal(recorded.EnumerateObject().Select(tensor => tensor.Name).Order(StringComparer.Ordinal),
            written.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal));
        foreach (var tensor in recorded.EnumerateObject())
        {
            var ours = written.Load(tensor.Name);
            var entry = tensor.Value;
            Assert.Equal(entry[1].EnumerateArray().Select(dimension => dimension.GetInt64()), ours.Shape.Dimensions.ToArray());
            if (entry[2].GetString() == "source")
                Assert.True(Bytes(ours).SequenceEqual(Bytes(source.Load(tensor.Name))), $"{tensor.Name} was not copied");
            else
                CompareTensor(model, tensor.Name, entry, ours);
        }
    }

    static void CompareTensor(string model, string name, JsonElement entry, Tensor ours)
    {
        Assert.Equal(entry[0].GetString(), ours.DType.Name());
        if (name.EndsWith("input_scale", StringComparison.Ordinal) || name.EndsWith("k_scale", StringComparison.Ordinal)
            || name.EndsWith("v_scale", StringComparison.Ordinal))
        {
            using var file = SafetensorsFile.Open(Repository.Fixture($"modelopt/exports/{model}/{entry[3].GetString()}.safetensors"));
            var expected = file.Load(name).Span<float>()[0];
            Assert.True(Math.Abs(ours.Span<float>()[0] / expected - 1) <= ScaleTolerance, $"{name}: expected {expected}, found {ours.Span<float>()[0]}");
        }
        else
        {
            var hash = System.Convert.ToHexStringLower(SHA256.HashData(Bytes(ours)))[..16];
            Assert.True(entry[2].GetString() == hash, $"{name}: expected hash {entry[2]}, found {hash}");
        }
    }

    static unsafe ReadOnlySpan<byte> Bytes(Tensor tensor) => new(tensor.Pointer, (int)tensor.Bytes);

    /// <summary>Field by field, in any order.</summary>
    static void Same(JsonElement expected, JsonElement actual, string where)
    {
        if (expected.ValueKind != JsonValueKind.Object)
        {
            Assert.True(JsonElement.DeepEquals(expected, actual), $"{where}: expected {expected.GetRawText()}, found {actual.GetRawText()}");
            return;
        }
        Assert.Equal(JsonValueKind.Object, actual.ValueKind);
        Assert.Equal(expected.EnumerateObject().Select(field => field.Name).Order(StringComparer.Ordinal),
            actual.EnumerateObject().Select(field => field.Name).Order(StringComparer.Ordinal));
        foreach (var field in expected.EnumerateObject())
            Same(field.Value, actual.GetProperty(field.Name), $"{where}.{field.Name}");
    }
}
