using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Generation;
using Nibble.Tensors;

namespace Nibble.Tests.Models;

/// <summary>What the streaming quantizer relies on: the lists of a stage, its purity, many samples through one stage.</summary>
public class StageTests
{
    public static TheoryData<string> Models => ["llama", "llama_tied", "mistral", "qwen2", "qwen3", "qwen2_5_vl", "qwen3_moe", "qwen3_moe_nonorm"];

    [Theory, MemberData(nameof(Models))]
    public void Lists_are_what_a_stage_loads_and_uses(string model)
    {
        using var golden = Golden.Model(model);
        var modules = new Recording(golden.Source);
        var weights = new Weights(golden.Source, modules);
        var pass = golden.Network.Begin(golden.Sample(model == "qwen2_5_vl" ? "one." : ""));
        foreach (var loader in golden.Network.Stages)
        {
            modules.Clear();
            var stage = loader.Load(weights);
            Assert.Equal(loader.Modules.Order(), modules.Loaded.Order());
            Assert.Equal(loader.Attentions, modules.Attentions);
            stage.Forward(pass);
            Assert.Equal(loader.Modules, modules.Used.Select(use => use.Module));
            foreach (var group in loader.Groups)
                Assert.Single(modules.Used.Where(use => group.Contains(use.Module)).Select(use => use.Input).Distinct());
            Assert.Equal(loader.Attentions, modules.Filtered);
        }
        Assert.Equal(golden.Network.Stages.Count, golden.Network.Stages.Select(loader => loader.Name).Distinct().Count());
    }

    [Fact]
    public void Lists_of_a_decoder_block_and_of_a_vision_block()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var stages = golden.Network.Stages.ToDictionary(loader => loader.Name);
        const string layer = "model.layers.1", block = "visual.blocks.2";

        string[] qkv = [$"{layer}.self_attn.q_proj", $"{layer}.self_attn.k_proj", $"{layer}.self_attn.v_proj"];
        string[] gateUp = [$"{layer}.mlp.gate_proj", $"{layer}.mlp.up_proj"];
        Assert.Equal([.. qkv, $"{layer}.self_attn.o_proj", .. gateUp, $"{layer}.mlp.down_proj"], stages[layer].Modules);
        Assert.Equal([qkv, gateUp], stages[layer].Groups);
        Assert.Equal([$"{layer}.self_attn"], stages[layer].Attentions);
        gateUp = [$"{block}.mlp.gate_proj", $"{block}.mlp.up_proj"];
        Assert.Equal([$"{block}.attn.qkv", $"{block}.attn.proj", .. gateUp, $"{block}.mlp.down_proj"], stages[block].Modules);
        Assert.Equal([gateUp], stages[block].Groups);
        Assert.Equal(["visual.merger.mlp.0", "visual.merger.mlp.2"], stages["visual.merger"].Modules);
        Assert.Equal(["lm_head"], stages["lm_head"].Modules);

        Scope[] scopes = [.. Enumerable.Repeat(Scope.Vision, 4), Scope.Projector, .. Enumerable.Repeat(Scope.Language, 4)];
        Assert.Equal(scopes, golden.Network.Stages.Select(loader => loader.Scope));
        Assert.Equal(golden.Network.Stages.Where(loader => loader.Scope == Scope.Language), golden.Network.LanguageStages);
    }

    [Fact]
    public void Lists_of_a_block_with_experts_and_of_one_without()
    {
        using var golden = Golden.Model("qwen3_moe_nonorm");
        var stages = golden.Network.Stages.ToDictionary(loader => loader.Name);
        Assert.Equal(7, stages["model.layers.0"].Modules.Count);
        Assert.Empty(stages["model.layers.0"].SharedInputs);
        Assert.Empty(stages["model.layers.0"].SharedWeights);

        var block = stages["model.layers.1"];
        string[][] gates = [.. Enumerable.Range(0, 8).Select(Gates)];
        string[] downs = [.. Enumerable.Range(0, 8).Select(expert => $"model.layers.1.mlp.experts.{expert}.down_proj")];
        Assert.Equal([.. block.Modules.Take(4), .. gates.SelectMany(gate => gate), .. downs], block.Modules);
        Assert.Equal(gates, block.Groups.Skip(1));
        Assert.Equal([[.. gates.SelectMany(gate => gate)], downs], block.SharedInputs);
        Assert.Equal(gates, block.SharedWeights);

        static string[] Gates(int expert) =>
            [$"model.layers.1.mlp.experts.{expert}.gate_proj", $"model.layers.1.mlp.experts.{expert}.up_proj"];
    }

    [Theory, InlineData("llama_tied"), InlineData("qwen3")]
    public void A_tied_head_is_no_module(string model)
    {
        using var golden = Golden.Model(model);
        Assert.Empty(golden.Network.Stages[^1].Modules);
    }

    [Fact]
    public void A_checkpoint_without_a_head_is_tied_whatever_its_configuration_says()
    {
        using var golden = Golden.Model("qwen3");
        var untied = (Nibble.Models.Config.TextConfig)golden.Config;
        var network = Networks.Create(untied with { Text = untied.Text with { TiedEmbeddings = false } }, golden.Source);
        var logits = new Generator(network, golden.Weights).Logits(golden.Sample(""));
        Near.Assert(golden.Floats("logits"), logits, Near.Text, "logits");
    }

    [Fact]
    public void A_stage_leaves_what_it_finds_and_can_be_run_again()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var pass = golden.Network.Begin(golden.Sample("one."));
        foreach (var loader in golden.Network.Stages)
        {
            var stage = loader.Load(golden.Weights);
            var before = pass.Hidden;
            var copy = before?.Clone();
            stage.Forward(pass);
            var first = (pass.Logits ?? pass.Hidden).Clone();

            if (copy is not null)
                Assert.True(copy.Span<float>().SequenceEqual(before!.Span<float>()), loader.Name);
            (pass.Hidden, pass.Logits) = (before!, null);
            stage.Forward(pass);
            Assert.True(first.Span<float>().SequenceEqual((pass.Logits ?? pass.Hidden).Span<float>()), loader.Name);
        }
    }

    [Fact]
    public void Samples_can_go_through_one_stage_at_a_time_and_side_by_side()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        string[] names = ["one.", "text.", "two."];
        var passes = names.Select(name => golden.Network.Begin(golden.Sample(name))).ToArray();
        foreach (var loader in golden.Network.Stages)
        {
            var stage = loader.Load(golden.Weights);
            Parallel.ForEach(passes, stage.Forward);
        }
        var generator = new Generator(golden.Network, golden.Weights);
        for (var i = 0; i < names.Length; i++)
        {
            var alone = generator.Logits(golden.Sample(names[i]));
            Assert.True(alone.Span<float>().SequenceEqual(passes[i].Logits!.Span<float>()), names[i]);
        }
    }

    [Fact]
    public void Text_passes_the_vision_stages_untouched()
    {
        using var golden = Golden.Model("qwen2_5_vl");
        var pass = golden.Network.Begin(golden.Sample("text."));
        foreach (var loader in golden.Network.Stages.Where(loader => loader.Scope != Scope.Language))
            loader.Load(golden.Weights).Forward(pass);
        Assert.Null(pass.Hidden);
        Assert.Null(pass.ImageFeatures);
        Assert.Null(pass.ImageMask);
    }

    [Fact]
    public void A_tensor_of_another_shape_is_named()
    {
        using var golden = Golden.Model("llama");
        const string norm = "model.norm.weight", layer = "model.layers.0.";
        Refused("expected the shape [96, 64], found [64, 96]", layer + "mlp.up_proj.weight", layer + "mlp.down_proj.weight");
        Refused("expected a matrix of F32, BF16 or F16, found [64] BF16", layer + "self_attn.q_proj.weight", norm);
        Refused("expected the shape [64], found [96, 64] BF16", norm, layer + "mlp.up_proj.weight");
        Refused("expected the shape [128, 64], found [64] BF16", "model.embed_tokens.weight", norm);
        Refused("expected the shape [32], found [64] BF16", layer + "self_attn.k_proj.bias", norm);

        void Refused(string message, string name, string instead)
        {
            var source = new Swapped(golden.Source, name, instead);
            var error = Assert.Throws<ModelException>(() => new Generator(golden.Network, new Weights(source)));
            Assert.Contains($"{name}: {message}", error.Message);
        }
    }

    [Fact]
    public void Unknown_names_are_an_error_that_says_what_was_looked_for()
    {
        using var text = Golden.Model("llama");
        using var vision = Golden.Model("qwen2_5_vl");
        var other = new Renamed(text.Source, name => "x" + name);
        Assert.Contains("no embed_tokens.weight below model.",
            Assert.Throws<ModelException>(() => Networks.Create(text.Config, other)).Message);
        var blind = new Renamed(vision.Source, name => name.StartsWith("visual", StringComparison.Ordinal) ? null : name);
        Assert.Contains("no patch_embed.proj.weight below model.visual or visual",
            Assert.Throws<ModelException>(() => Networks.Create(vision.Config, blind)).Message);
    }

    /// <summary>A tensor that is another one.</summary>
    sealed class Swapped(ITensorSource source, string name, string instead) : ITensorSource
    {
        public IReadOnlyCollection<TensorSpec> Tensors => source.Tensors;

        public TensorSpec? Find(string asked) => source.Find(asked == name ? instead : asked);

        public Tensor Load(string asked) => source.Load(asked == name ? instead : asked);
    }

    /// <summary>Dense modules that note what is loaded and multiplied, and with which input.</summary>
    sealed class Recording(ITensorSource source) : IModuleSource
    {
        readonly DenseModules dense = new(source);

        public List<string> Loaded { get; } = [];

        public List<string> Attentions { get; } = [];

        public List<string> Filtered { get; } = [];

        public List<(string Module, nint Input)> Used { get; } = [];

        public void Clear()
        {
            Loaded.Clear();
            Attentions.Clear();
            Filtered.Clear();
            Used.Clear();
        }

        public ILinearWeight Linear(string module)
        {
            Loaded.Add(module);
            return new Watched(dense.Linear(module), (x, _) => Note(module, x));
        }

        public IKeyValueFilter KeyValues(string attention)
        {
            Attentions.Add(attention);
            return new Filter(() => Filtered.Add(attention));
        }

        unsafe void Note(string module, Tensor x) => Used.Add((module, (nint)x.Pointer));
    }

    sealed class Filter(Action called) : IKeyValueFilter
    {
        public void Apply(Tensor keys, Tensor values) => called();
    }

    sealed class Watched(ILinearWeight weight, Action<Tensor, Tensor> called) : ILinearWeight
    {
        public int Rows => weight.Rows;

        public int Columns => weight.Columns;

        public long Bytes => weight.Bytes;

        public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

        public void Multiply(Tensor x, Tensor y)
        {
            called(x, y);
            weight.Multiply(x, y);
        }
    }
}
