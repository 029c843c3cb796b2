using System.Text;
using Nibble.Export;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Tensors;
using Nibble.Tests.Support;
using Convert = Nibble.Tensors.Convert;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Nibble.Tests.Quant.Algorithms.Rotation;

/// <summary>Tensors in memory.</summary>
sealed class MemoryTensors(IReadOnlyDictionary<string, Tensor> tensors) : ITensorSource
{
    public IReadOnlyCollection<TensorSpec> Tensors => [.. tensors.Keys.Select(name => Find(name)!)];

    public TensorSpec? Find(string name) => tensors.TryGetValue(name, out var tensor) ? new TensorSpec(name, tensor.DType, tensor.Shape) : null;

    public Tensor Load(string name) => tensors[name];
}

/// <summary>A model in F32 whose norms have weights far from 1, so that forgetting them shows.</summary>
sealed record DrawnModel(ModelConfig Config, Dictionary<string, Tensor> Tensors)
{
    public const int Width = 96, HeadWidth = 24, Vocabulary = 61;

    const int Heads = 4, KeyValueHeads = 2, Inner = 40;

    public ITensorSource Source => new MemoryTensors(Tensors);

    public INetwork Network => Networks.Create(Config, Source);

    /// <summary>A small llama of two layers whose widths are no powers of two, with biases wherever a checkpoint may have some.</summary>
    public static DrawnModel Llama(bool tied)
    {
        var tensors = new Dictionary<string, Tensor>();
        Add("model.embed_tokens.weight", Vocabulary, Width);
        for (var layer = 0; layer < 2; layer++)
        {
            var prefix = $"model.layers.{layer}";
            Add($"{prefix}.input_layernorm.weight", Width);
            AddLinear($"{prefix}.self_attn.q_proj", Heads * HeadWidth, Width);
            AddLinear($"{prefix}.self_attn.k_proj", KeyValueHeads * HeadWidth, Width);
            AddLinear($"{prefix}.self_attn.v_proj", KeyValueHeads * HeadWidth, Width);
            AddLinear($"{prefix}.self_attn.o_proj", Width, Heads * HeadWidth);
            Add($"{prefix}.post_attention_layernorm.weight", Width);
            AddLinear($"{prefix}.mlp.gate_proj", Inner, Width);
            AddLinear($"{prefix}.mlp.up_proj", Inner, Width);
            AddLinear($"{prefix}.mlp.down_proj", Width, Inner);
        }
        Add("model.norm.weight", Width);
        if (!tied)
            Add("lm_head.weight", Vocabulary, Width);
        return new DrawnModel(ModelConfig.Parse(Encoding.UTF8.GetBytes($$"""
            {"model_type": "llama", "vocab_size": {{Vocabulary}}, "hidden_size": {{Width}}, "head_dim": {{HeadWidth}},
             "intermediate_size": {{Inner}}, "num_hidden_layers": 2, "num_attention_heads": {{Heads}},
             "num_key_value_heads": {{KeyValueHeads}}, "tie_word_embeddings": {{(tied ? "true" : "false")}}}
            """), "drawn"), tensors);

        void Add(string name, params long[] shape)
        {
            var tensor = Draw.Tensor(tensors.Count + 1, shape);
            foreach (ref var value in tensor.Span<float>())
                value = shape.Length == 1 ? 1 + value / 3 : value / 8;
            tensors.Add(name, tensor);
        }

        void AddLinear(string name, int rows, int columns)
        {
            Add($"{name}.weight", rows, columns);
            Add($"{name}.bias", rows);
        }
    }

    /// <summary>A recorded model.</summary>
    public static DrawnModel Of(string folder)
    {
        using var source = CheckpointFolder.Open(folder);
        var tensors = source.Tensors.ToDictionary(tensor => tensor.Name, tensor => Convert.ToF32(source.Load(tensor.Name)));
        foreach (var (name, tensor) in tensors.Where(tensor => tensor.Key.EndsWith("norm.weight", StringComparison.Ordinal)))
            TensorPrimitives.Multiply(tensor.Span<float>(), Draw.Normal(tensor.Columns, name.Length, 0.3, 1), tensor.Span<float>());
        return new DrawnModel(ModelConfig.Parse(source.Config.Span, folder), tensors);
    }
}
