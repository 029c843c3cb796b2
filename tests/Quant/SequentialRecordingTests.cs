using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Quant;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant;

/// <summary>
/// Two decoder blocks quantized one group after the other against <c>fixtures/algorithms/blocks</c>: the codes of every matrix, which
/// depend on both streams of all that came before.
/// </summary>
public sealed class SequentialRecordingTests
{
    /// <summary>Of the α found, absolute: 3e-7 measured.</summary>
    const double AlphaTolerance = 1e-5;

    static readonly CompensationOptions gptq = CompensationOptions.Gptq;

    public static TheoryData<string> Methods => ["gptq", "vlm.full", "exact.cv.diagH", "nvfp4.sweepH.exact.cv.actorder.cd1"];

    [Theory, MemberData(nameof(Methods))]
    public void Both_streams_give_the_recorded_codes(string method)
    {
        var blocks = new RecordedBlocks();
        var (format, options) = Settings(method);
        var reports = blocks.Quantize(format, options, out var quantized);
        Assert.Equal(14, quantized.Modules.Count);
        foreach (var (name, module) in quantized.Modules)
        {
            var differing = blocks.Differing(method, name, module.Weight);
            Assert.True(differing == 0, $"{name}: {differing} codes differ"); // none in the float32 runs of the recording either
        }
        foreach (var report in reports.SelectMany(stage => stage.Modules))
            if (blocks.RecordedAlpha(method, report.Name) is { } alpha)
                Assert.Equal(alpha, report.Alpha ?? 0, AlphaTolerance);
    }

    /// <summary>The first modules have the same inputs in both runs, so their codes differ only by what rounding those inputs does to the moments.</summary>
    [Fact]
    public void Moments_are_those_of_inputs_as_the_format_rounds_them()
    {
        var (format, options) = Settings("gptq");
        new RecordedBlocks().Quantize(format, options, out var plain);
        new RecordedBlocks().Quantize(format, options, out var rounded, new NvFp4Activation());
        foreach (var (name, module) in plain.Modules.Where(module => module.Key.Contains("layers.0.self_attn.q_proj", StringComparison.Ordinal)))
            Assert.NotEqual(module.Weight.Codes.Span<byte>().ToArray(), rounded.Modules[name].Weight.Codes.Span<byte>().ToArray());
        Assert.Contains(plain.Modules.Keys, name => name.Contains("layers.0.self_attn.q_proj", StringComparison.Ordinal));
    }

    static (WeightFormat Format, CompensationOptions Options) Settings(string method)
    {
        var integers = new IntGroup(3, groupSize: 0, symmetric: false);
        return method switch
        {
            "gptq" => (integers, gptq),
            "vlm.full" => (integers, CompensationOptions.VlmPtq),
            "exact.cv.diagH" => (integers, gptq with { Shift = Shift.Exact, Search = ScaleSearch.Importance }),
            _ => (new NvFp4(), gptq with { Shift = Shift.Exact, Search = ScaleSearch.Importance, ActOrder = true, Sweeps = 1 }),
        };
    }
}

/// <summary>The recorded blocks as a network without embedding and head: samples enter block 0 as they were recorded.</summary>
sealed class RecordedBlocks : INetwork
{
    readonly SafetensorsFile inputs = SafetensorsFile.Open(Repository.Fixture("algorithms/blocks/inputs.safetensors"));
    readonly SafetensorsFile results = SafetensorsFile.Open(Repository.Fixture("algorithms/blocks/results.safetensors"));
    readonly JsonElement methods = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("algorithms/blocks/results.json")))
        .RootElement.GetProperty("methods");

    readonly Weighted source = new();
    readonly INetwork decoder;

    public RecordedBlocks()
    {
        decoder = Networks.Create(ModelConfig.Parse("""
            {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "vocab_size": 1,
             "tie_word_embeddings": true, "max_position_embeddings": 64}
            """u8, "blocks"), source);
        // The recording shares no scale among fused matrices.
        Stages = [.. decoder.Stages.Skip(1).Take(2).Select(stage => stage with { Groups = [] })];
    }

    public string ModelType => "llama";

    public int VocabularySize => 1;

    public IReadOnlyList<StageLoader> Stages { get; }

    public IReadOnlyList<StageLoader> LanguageStages => Stages;

    public KvCache NewCache(int capacity = 0) => throw new NotSupportedException();

    public bool CanContinue(KvCache cache, int tokens) => throw new NotSupportedException();

    /// <summary>A sample is its index.</summary>
    public Pass Begin(Sample sample, KvCache? cache = null)
    {
        var (all, index) = (inputs.Load("x"), sample.Ids[0]);
        var tokens = (int)all.Shape[1];
        var pass = decoder.Begin(new Sample([.. Enumerable.Repeat(0, tokens)]));
        pass.Hidden = all.Slice(index, 1).Reshape(tokens, all.Shape[2]).Clone();
        pass.ImageMask = [.. inputs.Load("vision").Span<byte>().Slice(index * tokens, tokens).ToArray().Select(flag => flag == 1)];
        return pass;
    }

    public IReadOnlyList<Nibble.Quant.Reports.StageReport> Quantize(
        WeightFormat format, CompensationOptions options, out QuantizedInMemory quantized, ActivationFormat? activation = null)
    {
        var plan = Plan.Create(this, source, Recipe.Uniform(new Scheme("recorded", format, activation), [Scope.Language], [], Algorithm.Best));
        quantized = new QuantizedInMemory(source, new DenseModules(source));
        var samples = new SampleList([.. Enumerable.Range(0, 8).Select(index => new Sample(index))]);
        return new Quantizer(this, source, plan, new QuantizerOptions(long.MaxValue, "unused", Compensation: options)).Run(samples, quantized);
    }

    public double? RecordedAlpha(string method, string module) =>
        methods.GetProperty(method).GetProperty("linears").GetProperty(module).TryGetProperty("alpha", out var alpha) ? alpha.GetDouble() : null;

    /// <summary>How many codes are not the recorded ones; the recording has one in a byte.</summary>
    public int Differing(string method, string module, QuantizedWeight weight)
    {
        var recorded = results.Load($"{method}/{module}.codes");
        var (differing, bits) = (0, weight.Format.CodeBits);
        for (var row = 0; row < weight.Rows; row++)
            for (var column = 0; column < weight.Columns; column++)
            {
                var (at, shift) = Math.DivRem(column * bits, 8);
                var packed = weight.Codes.Row<byte>(row);
                var code = packed[at] | (at + 1 < packed.Length ? packed[at + 1] << 8 : 0);
                if ((code >> shift & ((1 << bits) - 1)) != recorded.Row<byte>(row)[column])
                    differing++;
            }
        return differing;
    }

    /// <summary>The recorded weights, and an embedding nobody uses.</summary>
    sealed class Weighted : ITensorSource
    {
        readonly SafetensorsFile file = SafetensorsFile.Open(Repository.Fixture("algorithms/blocks/model.safetensors"));
        readonly Tensor embedding = Tensor.Zeros(1, 64), norm = Tensor.Zeros(64);

        public IReadOnlyCollection<TensorSpec> Tensors =>
        [
            .. file.Tensors, new("model.embed_tokens.weight", DType.F32, embedding.Shape), new("model.norm.weight", DType.F32, norm.Shape),
        ];

        public TensorSpec? Find(string name) => Tensors.FirstOrDefault(tensor => tensor.Name == name);

        public Tensor Load(string name) => name switch
        {
            "model.embed_tokens.weight" => embedding,
            "model.norm.weight" => norm,
            _ => file.Load(name),
        };
    }
}
