using Nibble.Export;
using Nibble.Export.Safetensors;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>Models for whole commands: the sample, a text-only one cut out of it, and broken copies.</summary>
static class Models
{
    /// <summary>What a model folder needs beside weights and config.json.</summary>
    static readonly string[] SideFiles =
        ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json", "preprocessor_config.json"];

    static readonly Lazy<TemporaryFolder> TextFolder = new(() =>
    {
        var folder = new TemporaryFolder();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => folder.Dispose();
        WriteText(folder.In("shapes-text"));
        return folder;
    });

    /// <summary>The trained vision-language model of the repository.</summary>
    public static string Vision { get; } = Repository.Path("samples/shapes-vlm");

    /// <summary>
    /// The language half of the sample as a qwen2 model. Without pictures the multimodal positions of the sample are plain ones, so it
    /// computes the same.
    /// </summary>
    public static string Text => TextFolder.Value.In("shapes-text");

    /// <summary>The sample under other tensors, in a new folder.</summary>
    /// <param name="change">Gets the tensors of the sample and may replace, remove and add some.</param>
    public static void WriteVision(string folder, Action<Dictionary<string, Tensor>>? change = null, long maxShardBytes = 1 << 30)
    {
        using var source = CheckpointFolder.Open(Vision);
        var tensors = source.Tensors.ToDictionary(tensor => tensor.Name, tensor => source.Load(tensor.Name));
        change?.Invoke(tensors);
        Write(folder, tensors, source.Config.ToArray(), maxShardBytes);
        File.Copy(Path.Combine(Vision, "calib.jsonl"), Path.Combine(folder, "calib.jsonl"));
        Directory.CreateSymbolicLink(Path.Combine(folder, "calib"), Path.Combine(Vision, "calib"));
    }

    /// <summary>A safetensors file of these tensors.</summary>
    public static void WriteTensors(string path, Dictionary<string, Tensor> tensors)
    {
        using var writer = SafetensorsWriter.Create(path,
            [.. tensors.Select(tensor => new TensorSpec(tensor.Key, tensor.Value.DType, tensor.Value.Shape))]);
        foreach (var (name, tensor) in tensors)
            writer.Write(name, tensor);
        writer.Complete();
    }

    public static Tensor Integers(long[] values, params ReadOnlySpan<long> dimensions)
    {
        var tensor = Tensor.Empty(new Shape(dimensions), DType.I64);
        values.CopyTo(tensor.Span<long>());
        return tensor;
    }

    static void WriteText(string folder)
    {
        using var source = CheckpointFolder.Open(Vision);
        var names = source.Tensors.Select(tensor => tensor.Name).Where(name => !name.StartsWith("visual.", StringComparison.Ordinal));
        Write(folder, names.ToDictionary(name => name, source.Load), """
            {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "vocab_size": 512, "hidden_size": 256,
             "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
             "rope_theta": 100.0, "max_position_embeddings": 2048, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
             "bos_token_id": 505, "eos_token_id": 507, "use_sliding_window": false}
            """u8.ToArray());
        var lines = File.ReadAllLines(Path.Combine(Vision, "eval_text.txt"));
        File.WriteAllLines(Path.Combine(folder, "eval_text.txt"), lines);
        File.WriteAllLines(Path.Combine(folder, "calib.jsonl"), lines.Select(line => $$"""{"text": "{{line}}"}"""));
        File.WriteAllLines(Path.Combine(folder, "eval.jsonl"),
        [
            """{"question": "4 + 6 = ?", "answer": "10"}""",
            """{"question": "which one?", "options": ["ring", "circle"], "answer_index": 1}""",
        ]);
    }

    static void Write(string folder, Dictionary<string, Tensor> tensors, byte[] config, long maxShardBytes = 1 << 30)
    {
        var specs = tensors.Select(tensor => new TensorSpec(tensor.Key, tensor.Value.DType, tensor.Value.Shape)).ToList();
        using var writer = CheckpointWriter.Open(folder, specs, new CheckpointOptions { MaxShardBytes = maxShardBytes });
        foreach (var (name, tensor) in tensors)
            writer.Write(name, tensor);
        writer.Complete([SideFile.Of("config.json", config), .. SideFiles.Select(name => SideFile.Copy(Vision, name))]);
    }
}
