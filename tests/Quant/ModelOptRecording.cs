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

/// <summary>One model ModelOpt 0.47 calibrated, simulated and exported, and the run of ours that is held against it.</summary>
sealed class ModelOptRecording : IDisposable
{
    const int PictureToken = 120;

    readonly TemporaryFolder output = new();
    readonly CheckpointFolder source;
    readonly SafetensorsFile calibration;
    readonly JsonDocument json;
    readonly string folder;
    int firstToken;

    public ModelOptRecording(string model, string name)
    {
        folder = Repository.Fixture($"modelopt/exports/{model}");
        source = CheckpointFolder.Open(Repository.Fixture($"modelopt/models/{model}"));
        calibration = SafetensorsFile.Open(Path.Combine(source.Path, "calib.safetensors"));
        json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, name + ".json")));
        Name = name;
        Quantize();
        Written = QuantizedCheckpoint.Open(output.Path);
    }

    public string Name { get; }

    public JsonElement Json => json.RootElement;

    /// <summary>The unquantized model.</summary>
    public CheckpointFolder Source => source;

    /// <summary>What our run wrote.</summary>
    public QuantizedCheckpoint Written { get; }

    /// <summary>
    /// Whether a tensor is a cache scale of an attention module of the vision tower. ModelOpt 0.47 calibrates, simulates and
    /// exports those with any cache format, though nothing is cached there and the modules they are named after do not exist.
    /// </summary>
    public static bool IsVisionCache(string tensor) =>
        tensor.StartsWith("visual.", StringComparison.Ordinal) && tensor.EndsWith("_scale", StringComparison.Ordinal);

    /// <summary>
    /// [tokens, V]: the logits ModelOpt's simulated-quantized model gave for the first sample, of all its tokens or of the last
    /// four; of those before the picture only, where the keys and values of the vision tower were rounded too.
    /// </summary>
    public Tensor RecordedLogits()
    {
        using var file = SafetensorsFile.Open(Path.Combine(folder, Name + ".safetensors"));
        var recorded = file.Load(file.Find("fakequant_logits") is null ? "fakequant_logits_last4" : "fakequant_logits");
        var logits = recorded.Reshape(recorded.Rows, recorded.Columns).Clone();
        firstToken = First.Ids.Length - logits.Rows;
        return Json.GetProperty("tensors").EnumerateObject().Any(tensor => IsVisionCache(tensor.Name))
            ? logits.Slice(0, Array.IndexOf(First.Ids, PictureToken))
            : logits;
    }

    /// <summary>The logits the unquantized model gave in Transformers, of the tokens that <paramref name="like"/> has.</summary>
    public Tensor RecordedUnquantizedLogits(Tensor like) =>
        calibration.Load("logits.0").Reshape(First.Ids.Length, like.Columns).Slice(firstToken, like.Rows);

    /// <summary>The logits of our network with these layers, of the tokens that <paramref name="like"/> has.</summary>
    public Tensor Logits(Tensor like, IModuleSource modules) =>
        new Generator(Network(source), new Weights(source, modules)).Logits(First).Slice(firstToken, like.Rows);

    /// <summary>A tensor of the recorded export whose bytes were kept.</summary>
    public float RecordedScalar(string file, string tensor)
    {
        using var kept = SafetensorsFile.Open(Path.Combine(folder, file + ".safetensors"));
        return kept.Load(tensor).Span<float>()[0];
    }

    public void Dispose()
    {
        Written.Dispose();
        source.Dispose();
        calibration.Dispose();
        json.Dispose();
        output.Dispose();
    }

    Sample First => new TokenSamples(calibration, calibration.Path).Load(0);

    /// <summary>As <c>nibble quantize</c> does it.</summary>
    void Quantize()
    {
        var keyValues = Json.GetProperty("kv").GetString() is { } kv ? Schemes.FindKeyValues(kv) : null;
        var network = Network(source);
        var plan = Plan.Create(network, source, Recipe(keyValues));
        Assert.Empty(plan.Problems);

        using var writer = CheckpointWriter.Open(output.Path, ModelOptSink.Declare(plan, source), new CheckpointOptions());
        foreach (var tensor in plan.Copied)
            writer.Write(tensor.Name, source.Load(tensor.Name));
        new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, output.In("spill")))
            .Run(Samples(), new ModelOptSink(writer));
        writer.Complete(ModelOptLayout.Configs(source,
            [.. plan.Quantized.Select(module => (module.Name, module.Scheme!))], plan.Recipe.KeyValues));
        Assert.DoesNotContain(CheckpointVerifier.Verify(output.Path, Target.Transformers),
            finding => finding.Rule is not ("algorithm-accepted" or "cache-accepted"));
    }

    Recipe Recipe(KeyValueFormat? keyValues)
    {
        var preset = Json.GetProperty("preset").GetString()!;
        return preset == "nvfp4_mlp_weight_only"
            ? new Recipe([new Rule(new Glob("*mlp*"), Schemes.Find("w4a16_nvfp4")! with { Weight = new NvFp4(32) }, Scope.Language)])
            : Nibble.Quant.Planning.Recipe.Uniform(
                preset == "kvonly" ? null : Schemes.Find(preset), [Scope.Language], [], Algorithm.Max, keyValues);
    }

    /// <summary>The recording <c>textonly-*</c> replaced picture tokens by token 5 and gave no pixels.</summary>
    ISampleSource Samples()
    {
        var samples = new TokenSamples(calibration, calibration.Path);
        if (!Name.StartsWith("textonly", StringComparison.Ordinal))
            return samples;
        const int substitute = 5;
        return new SampleList([.. Enumerable.Range(0, samples.Count)
            .Select(i => new Sample([.. samples.Load(i).Ids.Select(id => id == PictureToken ? substitute : id)]))]);
    }

    INetwork Network(ITensorSource names)
    {
        var path = Path.Combine(source.Path, "config.json");
        return Networks.Create(ModelConfig.Parse(source.Config.Span, path), names);
    }
}
