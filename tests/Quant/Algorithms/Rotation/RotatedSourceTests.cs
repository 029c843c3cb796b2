using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Quant;
using Nibble.Quant.Algorithms.Rotation;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tensors;
using Nibble.Tests.Models;
using Nibble.Tests.Support;
using Convert = Nibble.Tensors.Convert;
using ModelSample = Nibble.Models.Sample;

namespace Nibble.Tests.Quant.Algorithms.Rotation;

public sealed class RotatedSourceTests
{
    /// <summary>Of the largest logit; 1.8e-6 measured.</summary>
    const double SameLogits = 5e-6;

    [Theory]
    [InlineData("modelopt/models/llama")]
    [InlineData("modelopt/models/moe")]
    [InlineData("modelopt/models/vlm")]
    [InlineData("models/llama_tied")]
    [InlineData("models/mistral")]
    [InlineData("models/qwen2")]
    [InlineData("models/qwen3")]
    [InlineData("models/qwen3_moe")]
    public void A_rotated_model_computes_what_the_original_computes(string model) =>
        CheckLogits(DrawnModel.Of(Repository.Fixture(model)), SampleOf(model));

    [Theory, InlineData(false), InlineData(true)]
    public void Widths_that_are_no_powers_of_two_and_every_bias_are_followed(bool tied) =>
        CheckLogits(DrawnModel.Llama(tied), new ModelSample([.. Enumerable.Range(0, 20).Select(i => i * 7 % DrawnModel.Vocabulary)]));

    [Fact]
    public void Every_tensor_is_what_its_definition_says()
    {
        var model = DrawnModel.Llama(tied: true);
        var rotated = RotatedSource.Create(model.Network, model.Source);
        double[,] q = HadamardBasisTests.Definition(DrawnModel.Width, 32, signs: true),
            queryHeads = HadamardBasisTests.Definition(4 * DrawnModel.HeadWidth, 8, signs: false),
            valueHeads = HadamardBasisTests.Definition(2 * DrawnModel.HeadWidth, 8, signs: false);
        Check("model.embed_tokens.weight", inputs: q);
        Check("lm_head.weight", from: "model.embed_tokens.weight", norm: "model.norm.weight", inputs: q);
        Assert.All((string[])["model.norm.weight", "model.layers.1.input_layernorm.weight", "model.layers.0.post_attention_layernorm.weight"],
            norm => Assert.Equal(Enumerable.Repeat(1f, DrawnModel.Width), rotated.Load(norm).Span<float>().ToArray()));
        const string layer = "model.layers.1";
        foreach (var module in (string[])["q_proj", "k_proj"])
        {
            Check($"{layer}.self_attn.{module}.weight", norm: $"{layer}.input_layernorm.weight", inputs: q);
            Assert.Same(model.Tensors[$"{layer}.self_attn.{module}.bias"], rotated.Load($"{layer}.self_attn.{module}.bias"));
        }
        Check($"{layer}.self_attn.v_proj.weight", norm: $"{layer}.input_layernorm.weight", inputs: q, outputs: valueHeads);
        Check($"{layer}.self_attn.v_proj.bias", inputs: valueHeads);
        Check($"{layer}.self_attn.o_proj.weight", inputs: queryHeads, outputs: q);
        Check($"{layer}.self_attn.o_proj.bias", inputs: q);
        foreach (var module in (string[])["gate_proj", "up_proj"])
            Check($"{layer}.mlp.{module}.weight", norm: $"{layer}.post_attention_layernorm.weight", inputs: q);
        Check($"{layer}.mlp.down_proj.weight", outputs: q);
        Check($"{layer}.mlp.down_proj.bias", inputs: q);

        void Check(string name, string? from = null, string? norm = null, double[,]? inputs = null, double[,]? outputs = null)
        {
            using var turned = rotated.Load(name);
            var original = model.Tensors[from ?? name];
            var gamma = norm is null ? null : model.Tensors[norm].Span<float>().ToArray();
            var expected = new double[original.Rows, original.Columns];
            for (var row = 0; row < original.Rows; row++)
                for (var column = 0; column < original.Columns; column++)
                    expected[row, column] = original.Row(row)[column] * (double)(gamma?[column] ?? 1);
            if (inputs is not null)
                expected = Product(expected, inputs);
            if (outputs is not null)
                expected = Transposed(Product(Transposed(expected), outputs));
            Close.Scaled([.. expected.Cast<double>()], turned.Span<float>(), HadamardBasisTests.Relative, name);
        }
    }

    [Theory]
    [InlineData("modelopt/models/moe", null)]
    [InlineData("modelopt/models/vlm", null)]
    [InlineData("models/llama_tied", "lm_head.weight")]
    public void Names_shapes_and_types_stay_and_a_tied_head_comes_in(string model, string? added)
    {
        var original = DrawnModel.Of(Repository.Fixture(model));
        var rotated = RotatedSource.Create(original.Network, original.Source);
        List<string> untouched = ["q_proj.bias", "k_proj.bias", "gate_proj.bias", "up_proj.bias", "q_norm", "k_norm"];
        Assert.Equal(added is not null, rotated.UntiesHead);
        Assert.Equal(original.Tensors.Keys.Concat(added is null ? [] : [added]), rotated.Tensors.Select(tensor => tensor.Name));
        foreach (var spec in rotated.Tensors)
        {
            var tensor = rotated.Load(spec.Name);
            Assert.Equal(spec, new TensorSpec(spec.Name, tensor.DType, tensor.Shape));
            Assert.Equal(spec, rotated.Find(spec.Name));
            Assert.Equal(spec.Name.StartsWith("visual.", StringComparison.Ordinal) && !spec.Name.Contains("merger.mlp.2")
                || untouched.Exists(spec.Name.Contains), original.Tensors.GetValueOrDefault(spec.Name) == tensor);
        }
        Assert.Null(rotated.Find("nothing"));
    }

    [Theory, InlineData(DType.BF16), InlineData(DType.F16)]
    public void Numbers_are_rounded_to_the_stored_type_at_the_end(DType type)
    {
        var wide = DrawnModel.Llama(tied: false);
        var narrow = wide with { Tensors = wide.Tensors.ToDictionary(pair => pair.Key, pair => Rounded(pair.Value)) };
        var widened = wide with { Tensors = narrow.Tensors.ToDictionary(pair => pair.Key, pair => Convert.ToF32(pair.Value)) };
        var (rotated, exact) = (RotatedSource.Create(narrow.Network, narrow.Source), RotatedSource.Create(wide.Network, widened.Source));
        foreach (var name in wide.Tensors.Keys)
        {
            Assert.Equal(type, rotated.Load(name).DType);
            Assert.Equal(Rounded(exact.Load(name)).Span<ushort>().ToArray(), rotated.Load(name).Span<ushort>().ToArray());
        }

        Tensor Rounded(Tensor tensor) => Narrow.ToTensor(tensor.Span<float>(), tensor.Shape, type);
    }

    [Theory]
    [InlineData("model.norm.weight", null, "model.norm.weight", "no such tensor")]
    [InlineData("model.layers.1.mlp.down_proj.weight", null, "model.layers.1.mlp.down_proj.weight", "no such tensor")]
    [InlineData("model.layers.0.input_layernorm.bias", "[96] F32", "model.layers.0.input_layernorm.bias", "no RMSNorm")]
    [InlineData("model.layers.0.self_attn.o_proj.weight", "[96, 96] F64", "F32, F16 or BF16 expected", "F64")]
    [InlineData("model.layers.0.self_attn.v_proj.weight", "[40, 96] F32", "a multiple of 24", "[40, 96]")]
    [InlineData("model.layers.0.mlp.up_proj.weight", "[40, 95] F32", "being 96", "[40, 95]")]
    public void What_cannot_be_rotated_is_named(string name, string? now, params string[] told)
    {
        var model = DrawnModel.Llama(tied: false);
        var network = model.Network;
        model.Tensors.Remove(name);
        if (now is not null)
            model.Tensors.Add(name, Tensor.Zeros(
                new Shape([.. now[1..now.IndexOf(']')].Split(", ").Select(long.Parse)]), now.EndsWith("F64", StringComparison.Ordinal) ? DType.F64 : DType.F32));
        var error = Assert.Throws<QuantizationException>(() => RotatedSource.Create(network, model.Source));
        Assert.All(told, word => Assert.Contains(word, error.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void A_network_that_does_not_say_how_it_meets_the_residual_stream_is_refused()
    {
        var model = DrawnModel.Llama(tied: false);
        var unknown = new Undescribed(model.Network, stage => stage.Name == "model.layers.1");
        var error = Assert.Throws<QuantizationException>(() => RotatedSource.Create(unknown, model.Source));
        Assert.Contains("llama: it is not known how model.layers.1 meets the residual stream", error.Message, StringComparison.Ordinal);
        unknown = new Undescribed(model.Network, _ => true);
        Assert.Throws<QuantizationException>(() => RotatedSource.Create(unknown, model.Source));
    }

    [Fact]
    public void A_plan_wants_recipe_and_checkpoint_to_agree()
    {
        var model = DrawnModel.Llama(tied: false);
        var rotated = RotatedSource.Create(model.Network, model.Source);
        var recipe = Recipe.Uniform(Schemes.Find("int8_wo"), [Scope.Language], []);
        var turned = recipe with { Rotation = Nibble.Quant.Planning.Rotation.Hadamard };
        Assert.Empty(Plan.Create(model.Network, model.Source, recipe).Problems);
        Assert.Empty(Plan.Create(model.Network, rotated, turned).Problems);
        Assert.Contains("hadamard, and the checkpoint is not rotated", Assert.Single(Plan.Create(model.Network, model.Source, turned).Problems), StringComparison.Ordinal);
        Assert.Contains("none, and the checkpoint is rotated", Assert.Single(Plan.Create(model.Network, rotated, recipe).Problems), StringComparison.Ordinal);
        Assert.Contains("rotation=hadamard", turned.Describe(), StringComparison.Ordinal);
        Assert.DoesNotContain("rotation", recipe.Describe(), StringComparison.Ordinal);
    }

    static void CheckLogits(DrawnModel model, ModelSample sample)
    {
        var rotated = RotatedSource.Create(model.Network, model.Source);
        var network = Networks.Create(rotated.UntiesHead ? model.Config.Untie() : model.Config, rotated);
        var expected = Run.Stages(model.Network, new Weights(model.Source), sample);
        var actual = Run.Stages(network, new Weights(rotated), sample);
        Assert.Equal(rotated.UntiesHead, network.Stages[^1].Modules.Count > model.Network.Stages[^1].Modules.Count);
        Close.Scaled([.. expected.Span<float>().ToArray().Select(logit => (double)logit)], actual.Span<float>(), SameLogits);
    }

    static ModelSample SampleOf(string model)
    {
        var file = Path.Combine(Repository.Fixture(model), "calib.safetensors");
        if (!File.Exists(file))
            return new ModelSample([.. Enumerable.Range(0, 24).Select(i => (i * 37 + 5) % 100)]);
        using var calibration = SafetensorsFile.Open(file);
        var found = new TokenSamples(calibration, "calib").Load(0);
        Assert.Equal(model.EndsWith("vlm", StringComparison.Ordinal), found.Images.Count > 0);
        return new ModelSample(found.Ids, [.. found.Images.Select(image => image with { Patches = image.Patches.Clone() })]);
    }

    static double[,] Product(double[,] a, double[,] b)
    {
        var product = new double[a.GetLength(0), b.GetLength(1)];
        for (var i = 0; i < a.GetLength(0); i++)
            for (var k = 0; k < b.GetLength(0); k++)
                for (var j = 0; j < b.GetLength(1); j++)
                    product[i, j] += a[i, k] * b[k, j];
        return product;
    }

    static double[,] Transposed(double[,] a)
    {
        var transposed = new double[a.GetLength(1), a.GetLength(0)];
        for (var i = 0; i < a.GetLength(0); i++)
            for (var j = 0; j < a.GetLength(1); j++)
                transposed[j, i] = a[i, j];
        return transposed;
    }

    /// <summary>A network of which some stages do not say how they meet the residual stream.</summary>
    sealed class Undescribed(INetwork network, Func<StageLoader, bool> silent) : INetwork
    {
        public string ModelType => network.ModelType;

        public int VocabularySize => network.VocabularySize;

        public IReadOnlyList<StageLoader> Stages => [.. network.Stages.Select(stage => silent(stage) ? stage with { Residual = null } : stage)];

        public IReadOnlyList<StageLoader> LanguageStages => Stages;

        public Pass Begin(ModelSample sample, KvCache? cache = null) => network.Begin(sample, cache);

        public KvCache NewCache(int capacity = 0) => network.NewCache(capacity);

        public bool CanContinue(KvCache cache, int tokens) => network.CanContinue(cache, tokens);
    }
}
