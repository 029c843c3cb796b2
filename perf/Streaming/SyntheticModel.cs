using System.Buffers.Binary;
using System.Globalization;
using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Tensors;

namespace Nibble.Perf.Streaming;

/// <summary>A llama checkpoint with the shapes of a 1B model and random weights: 2.2 GB of BF16 in two files.</summary>
static class SyntheticModel
{
    public const int Layers = 16;

    const int Width = 2048, KeyValueWidth = 512, MlpWidth = 8192, Vocabulary = 32000;
    const long ShardBytes = 1_200_000_000;

    static readonly string Config = $$"""
        {
          "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
          "hidden_size": {{Width}}, "intermediate_size": {{MlpWidth}}, "num_hidden_layers": {{Layers}},
          "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": {{Vocabulary}}, "max_position_embeddings": 4096,
          "hidden_act": "silu", "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
          "bos_token_id": 1, "eos_token_id": 2
        }
        """;

    /// <summary>Bytes of one decoder block.</summary>
    public static long BlockBytes => Specs().Where(spec => spec.Name.StartsWith("model.layers.0.", StringComparison.Ordinal)).Sum(spec => spec.Bytes);

    /// <summary>Bytes of the largest tensor.</summary>
    public static long LargestTensorBytes => Specs().Max(spec => spec.Bytes);

    /// <summary>Writes the folder, unless it is there from an earlier run.</summary>
    public static void Write(string folder)
    {
        if (File.Exists(Path.Combine(folder, "config.json")))
            return;
        var specs = Specs().ToList();
        using var writer = CheckpointWriter.Open(folder, specs, new CheckpointOptions { MaxShardBytes = ShardBytes });
        ulong state = 1;
        foreach (var spec in specs)
        {
            using var tensor = Tensor.Empty(spec.Shape, spec.DType);
            if (spec.Shape.Rank == 1)
                tensor.Span<ushort>().Fill(Tensors.Convert.SingleToBF16(1));
            else
                Fill(tensor.Span<ushort>(), ref state);
            writer.Write(spec.Name, tensor);
        }
        writer.Complete([SideFile.Of("config.json", System.Text.Encoding.UTF8.GetBytes(Config))]);
    }

    /// <summary>Calibration tokens, one sequence a sample.</summary>
    public static void WriteTokens(string path, int samples, int length)
    {
        var specs = Enumerable.Range(0, samples)
            .Select(i => new TensorSpec(string.Create(CultureInfo.InvariantCulture, $"input_ids.{i}"), DType.I64, new Shape(1, length))).ToList();
        using var writer = SafetensorsWriter.Create(path, specs);
        ulong state = 2;
        foreach (var spec in specs)
        {
            using var ids = Tensor.Empty(spec.Shape, spec.DType);
            foreach (ref var id in ids.Span<long>())
                id = (long)(Next(ref state) % Vocabulary);
            writer.Write(spec.Name, ids);
        }
        writer.Complete();
    }

    /// <summary>Random signs and mantissas, magnitudes from 2^-9 to 2^-5: about what trained weights of this width have.</summary>
    static void Fill(Span<ushort> values, ref ulong state)
    {
        var bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes(values);
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            var random = Next(ref state);
            var exponents = ((random >> 2) & 0x0180_0180_0180_0180) + 0x3B00_3B00_3B00_3B00; // 118 to 121
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, (random & 0x807F_807F_807F_807F) | exponents);
        }
    }

    /// <summary>SplitMix64.</summary>
    static ulong Next(ref ulong state)
    {
        var z = state += 0x9E37_79B9_7F4A_7C15;
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }

    static IEnumerable<TensorSpec> Specs()
    {
        yield return Spec("model.embed_tokens", Vocabulary, Width);
        for (var i = 0; i < Layers; i++)
        {
            var layer = string.Create(CultureInfo.InvariantCulture, $"model.layers.{i}");
            yield return Spec($"{layer}.input_layernorm", Width);
            yield return Spec($"{layer}.self_attn.q_proj", Width, Width);
            yield return Spec($"{layer}.self_attn.k_proj", KeyValueWidth, Width);
            yield return Spec($"{layer}.self_attn.v_proj", KeyValueWidth, Width);
            yield return Spec($"{layer}.self_attn.o_proj", Width, Width);
            yield return Spec($"{layer}.post_attention_layernorm", Width);
            yield return Spec($"{layer}.mlp.gate_proj", MlpWidth, Width);
            yield return Spec($"{layer}.mlp.up_proj", MlpWidth, Width);
            yield return Spec($"{layer}.mlp.down_proj", Width, MlpWidth);
        }
        yield return Spec("model.norm", Width);
        yield return Spec("lm_head", Vocabulary, Width);
    }

    static TensorSpec Spec(string module, params ReadOnlySpan<long> shape) => new(module + ".weight", DType.BF16, new Shape(shape));
}
