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
    readonly string model, folder;
    readonly WideModel? wide;
    int firstToken;

    /// <param name="set">The folder of recordings.</param>
    /// <param name="wide">Whether the model is F32, as ModelOpt held it, instead of BF16.</param>
    /// <param name="recipe">Another recipe than the recorded one.</param>
    public ModelOptRecording(string model, string name, string set = "exports", bool wide = false, Recipe? recipe = null)
    {
        this.model = model;
        folder = Repository.Fixture($"modelopt/{set}/{model}");
        var original = Repository.Fixture($"modelopt/models/{model}");
        this.wide = wide ? new WideModel(original) : null;
        source = CheckpointFolder.Open(this.wide?.Path ?? original);
        calibration = SafetensorsFile.Open(Path.Combine(original, "calib.safetensors"));
        json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, name + ".json")));
        Name = name;
        Quantize(recipe ?? RecordedRecipe.Of(Json));
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

    /// <summary>The logits of the written checkpoint, its changed norms included.</summary>
    public Tensor WrittenLogits(Tensor like) =>
        new Generator(Network(source), new Weights(Written, Written)).Logits(First).Slice(firstToken, like.Rows);

    /// <summary>A tensor of the recorded export whose bytes were kept.</summary>
    public float RecordedScalar(string file, string tensor) => Recorded(file, tensor).Span<float>()[0];

    /// <summary>The same as a whole.</summary>
    public Tensor Recorded(string file, string tensor)
    {
        var sets = (string[])[folder, Repository.Fixture($"modelopt/exports/{model}"), Repository.Fixture($"modelopt/equalised/{model}")];
        using var kept = SafetensorsFile.Open(sets.Select(set => Path.Combine(set, file + ".safetensors")).First(File.Exists));
        return kept.Load(tensor).Clone();
    }

    /// <summary>The tensors of the recording with ours, once names, types and shapes are found equal.</summary>
    public IEnumerable<(JsonProperty Recorded, Tensor Ours)> SameListing()
    {
        var recorded = Json.GetProperty("tensors").EnumerateObject().ToList();
        Assert.Equal(recorded.Select(tensor => tensor.Name).Order(StringComparer.Ordinal),
            Written.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal));
        foreach (var tensor in recorded)
        {
            var ours = Written.Load(tensor.Name);
            Assert.Equal(tensor.Value[0].GetString(), ours.DType.Name());
            Assert.Equal(tensor.Value[1].EnumerateArray().Select(size => size.GetInt64()), ours.Shape.Dimensions.ToArray());
            yield return (tensor, ours);
        }
    }

    /// <summary>Both configurations, field by field.</summary>
    public void SameConfigs()
    {
        ModelOptParityTests.Same(Json.GetProperty("hf_quant_config"), Written.Folder.HfQuantConfig!.Value, "hf_quant_config");
        ModelOptParityTests.Same(Json.GetProperty("quantization_config"), Written.Folder.QuantizationConfig!.Value, "quantization_config");
    }

    public void Dispose()
    {
        Written.Dispose();
        source.Dispose();
        calibration.Dispose();
        json.Dispose();
        output.Dispose();
        wide?.Dispose();
    }

    Sample First => new TokenSamples(calibration, calibration.Path).Load(0);

    /// <summary>As <c>nibble quantize</c> does it.</summary>
    void Quantize(Recipe recipe)
    {
        var network = Network(source);
        var plan = Plan.Create(network, source, recipe);
        Assert.Empty(plan.Problems);

        using var writer = CheckpointWriter.Open(output.Path, ModelOptSink.Declare(plan, source, KeyValueBias), new CheckpointOptions());
        foreach (var tensor in plan.Copied)
            writer.Write(tensor.Name, source.Load(tensor.Name));
        new Quantizer(network, source, plan, new QuantizerOptions(long.MaxValue, output.In("spill")))
            .Run(Samples(), new ModelOptSink(writer));
        writer.Complete(ModelOptLayout.Configs(source,
            [.. plan.Quantized.Select(module => (module.Name, module.Scheme!))], plan.Recipe.KeyValues));
        Assert.DoesNotContain(CheckpointVerifier.Verify(output.Path, Target.Transformers),
            finding => finding.Rule is not ("algorithm-accepted" or "cache-accepted"));
    }

    /// <summary>
    /// The recording <c>textonly-*</c> replaced picture tokens by token 5 and gave no pixels; <c>dead-*</c> saw one token only, so that
    /// most experts saw none.
    /// </summary>
    ISampleSource Samples()
    {
        var samples = new TokenSamples(calibration, calibration.Path);
        if (Name.StartsWith("dead", StringComparison.Ordinal))
            return new SampleList([new Sample(First.Ids[0])]);
        if (!Name.StartsWith("textonly", StringComparison.Ordinal))
            return samples;
        const int substitute = 5;
        return new SampleList([.. Enumerable.Range(0, samples.Count)
            .Select(i => new Sample([.. samples.Load(i).Ids.Select(id => id == PictureToken ? substitute : id)]))]);
    }

    ModelConfig Config => ModelConfig.Parse(source.Config.Span, Path.Combine(source.Path, "config.json"));

    Shape KeyValueBias => new(1, Config.Text.KeyValueHeads, 1, Config.Text.HeadWidth);

    INetwork Network(ITensorSource names) => Networks.Create(Config, names);
}
