using Nibble.Cli;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>Broken models, data and folders: one clear error, the right exit code, nothing lost.</summary>
public sealed class BadInputTests : IDisposable
{
    const string Weight = "model.layers.2.mlp.up_proj.weight";

    readonly TemporaryFolder folder = new();

    string Output => folder.In("out");

    public void Dispose() => folder.Dispose();

    void Refused(string model, string format, params string[] told)
    {
        CommandRun.Refused(ExitCode.BadInput, told, "quantize", model, "--format", format, "--samples", "2", "-o", Output);
    }

    string Broken(Action<Dictionary<string, Tensor>>? change = null, long shard = 1 << 30)
    {
        Models.WriteVision(folder.In("model"), change, shard);
        return folder.In("model");
    }

    [Theory]
    [InlineData("nvfp4")]
    [InlineData("int8_wo")]
    public void A_missing_tensor_is_named_at_once(string format)
    {
        Refused(Broken(tensors => tensors.Remove(Weight)), format, folder.In("model"), Weight);
        Assert.False(Directory.Exists(Output));
    }

    [Theory]
    [InlineData("nvfp4")]
    [InlineData("int8_wo")]
    public void A_wrong_shape_is_named_at_once(string format)
    {
        Refused(Broken(tensors => tensors[Weight] = Tensor.Zeros(512, 128)), format,
            folder.In("model/model.safetensors"), Weight, "[512, 256]", "[512, 128]");
        Assert.False(Directory.Exists(Output));
    }

    [Fact]
    public void A_wrong_element_type_is_named_at_once() =>
        Refused(Broken(tensors => tensors[Weight] = Tensor.Zeros(new Shape(512, 256), DType.I8)), "nvfp4", "model.safetensors", Weight, "I8");

    [Theory]
    [InlineData("nvfp4", float.NaN, "NaN")]
    [InlineData("fp8", float.PositiveInfinity, "∞")]
    [InlineData("int8_wo", float.NaN, "NaN")]
    public void A_weight_that_is_no_number_is_named(string format, float value, string found)
    {
        var model = Broken(tensors =>
        {
            var copy = Nibble.Tensors.Convert.ToF32(tensors[Weight]);
            copy.Span<float>()[5 * 256 + 7] = value;
            tensors[Weight] = copy;
        });
        Refused(model, format, "model.safetensors", Weight, "row 5, column 7", found.Replace("∞", $"{float.PositiveInfinity}"));
    }

    [Fact]
    public void Unknown_tensors_are_copied_with_a_warning()
    {
        var model = Broken(tensors => tensors["model.extra.weight"] = Tensor.Zeros(4, 4));
        var run = CommandRun.Good("quantize", model, "--format", "int8_wo", "-o", Output);
        Assert.Contains("warning: ", run.Error, StringComparison.Ordinal);
        Assert.Contains("model.extra.weight", run.Error, StringComparison.Ordinal);
        Assert.Contains("model.extra.weight", CommandRun.Good("inspect", Output, "--tensors").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_truncated_file_is_refused()
    {
        var model = Broken();
        using (var file = File.Open(folder.In("model/model.safetensors"), FileMode.Open))
            file.SetLength(file.Length - 1000);
        Refused(model, "int8_wo", "model.safetensors", "tensor '", "go beyond the file");
    }

    [Fact]
    public void A_missing_shard_is_refused()
    {
        var model = Broken(shard: 3_000_000);
        File.Delete(folder.In("model/model-00002-of-00003.safetensors"));
        Refused(model, "int8_wo", "model-00002-of-00003.safetensors");
    }

    [Fact]
    public void Lying_files_are_refused()
    {
        foreach (var file in Directory.GetFiles(Repository.Fixture("layouts/safetensors"), "bad-*.safetensors"))
            foreach (var verb in (string[])["inspect", "generate"])
                CommandRun.Refused(ExitCode.BadInput, [Path.GetFileName(file)], [verb, file, .. verb == "generate" ? (string[])["-p", "x"] : []]);
    }

    [Fact]
    public void A_broken_configuration_is_refused()
    {
        var model = Broken();
        File.WriteAllText(folder.In("model/config.json"), "{ \"model_type\": ");
        Refused(model, "int8_wo", "config.json");
        File.WriteAllText(folder.In("model/config.json"), "{ \"model_type\": \"no_such_model\" }");
        Refused(model, "int8_wo", "no_such_model", "qwen2_5_vl");
        File.Delete(folder.In("model/config.json"));
        Refused(model, "int8_wo", "config.json", "a model folder needs it");
    }

    /// <summary>A Hadamard matrix has a power of two of rows; here are heads of 24.</summary>
    [Fact]
    public void Heads_that_cannot_be_rotated_are_refused()
    {
        var layer = "model.layers.0.";
        var tensors = new Dictionary<string, Tensor> { ["model.embed_tokens.weight"] = Tensor.Zeros(8, 24), ["model.norm.weight"] = Tensor.Zeros(24) };
        foreach (var (name, rows, columns) in ((string, int, int)[])[("self_attn.q_proj", 24, 24), ("self_attn.k_proj", 24, 24), ("self_attn.v_proj", 24, 24),
            ("self_attn.o_proj", 24, 24), ("mlp.gate_proj", 32, 24), ("mlp.up_proj", 32, 24), ("mlp.down_proj", 24, 32)])
            tensors[$"{layer}{name}.weight"] = Tensor.Zeros(rows, columns);
        foreach (var norm in (string[])["input_layernorm", "post_attention_layernorm"])
            tensors[$"{layer}{norm}.weight"] = Tensor.Zeros(24);
        Directory.CreateDirectory(folder.In("narrow"));
        Models.WriteTensors(folder.In("narrow/model.safetensors"), tensors);
        File.WriteAllText(folder.In("narrow/config.json"), """
            {"model_type": "llama", "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1,
             "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "vocab_size": 8, "tie_word_embeddings": true,
             "max_position_embeddings": 64}
            """);
        var run = CommandRun.Of("plan", folder.In("narrow"), "--format", "int8_wo", "--kv", "nvfp4_rotate");
        Assert.Equal(ExitCode.BadInput, run.Code);
        Assert.Contains("power of two; here it is 24", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_quantized_model_is_not_quantized_again()
    {
        CommandRun.Good("quantize", Models.Text, "--format", "fp8_pc_pt", "-o", folder.In("first"));
        Refused(folder.In("first"), "int8_wo", folder.In("first"), "already quantized", "FP8_PER_CHANNEL_PER_TOKEN");
    }

    [Fact]
    public void An_output_folder_with_something_in_it_is_left_alone_unless_told_otherwise()
    {
        Directory.CreateDirectory(Output);
        File.WriteAllText(Path.Combine(Output, "precious.txt"), "mine");
        Refused(Models.Text, "int8_wo", Output, "precious.txt", "--overwrite");
        CommandRun.Refused(ExitCode.BadInput, ["precious.txt"], "plan", Models.Text, "--format", "int8_wo", "-o", Output);
        CommandRun.Good("quantize", Models.Text, "--format", "int8_wo", "-o", Output, "--overwrite");
        CommandRun.Good("quantize", Models.Text, "--format", "nvfp4", "-o", Output, "--overwrite", "--samples", "2");
        CommandRun.Good("verify", Output, "--target", "vllm");
        Assert.Equal("mine", File.ReadAllText(Path.Combine(Output, "precious.txt")));
    }

    [Fact]
    public void The_model_itself_is_never_written_to()
    {
        var model = Broken();
        var before = File.ReadAllBytes(folder.In("model/model.safetensors"));
        foreach (var name in (string[])["model", "model/", "model/../model"])
        {
            CommandRun.Refused(ExitCode.BadInput, ["the folder the model is read from"],
                "quantize", model, "--format", "int8_wo", "-o", folder.In(name), "--overwrite");
            CommandRun.Refused(ExitCode.BadInput, ["the folder the model is read from"], "plan", model, "--format", "int8_wo", "-o", folder.In(name));
        }
        Assert.Equal(before, File.ReadAllBytes(folder.In("model/model.safetensors")));
    }

    [Fact]
    public void A_file_is_no_output_folder()
    {
        File.WriteAllText(folder.In("file"), "");
        foreach (var name in (string[])["file", "file/out", "file/a/b"])
            CommandRun.Refused(ExitCode.BadInput, [folder.In("file") + ": a folder expected"],
                "quantize", Models.Text, "--format", "int8_wo", "-o", folder.In(name));
    }

    [Fact]
    public void A_folder_that_may_not_be_written_is_a_failure()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows() || Environment.UserName == "root", "Permissions do not bind this user.");
        if (!OperatingSystem.IsWindows())
            Directory.CreateDirectory(folder.In("closed"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        CommandRun.Refused(ExitCode.Failure, [folder.In("closed/out")], "quantize", Models.Text, "--format", "int8_wo", "-o", folder.In("closed/out"));
    }

    [Fact]
    public void A_picture_that_is_none_is_refused()
    {
        File.WriteAllText(folder.In("fake.png"), "this is text");
        CommandRun.Refused(ExitCode.BadInput, ["fake.png"], "generate", Models.Vision, "-p", "what?", "--image", folder.In("fake.png"));
        CommandRun.Refused(ExitCode.BadInput, ["gone.png"], "generate", Models.Vision, "-p", "what?", "--image", folder.In("gone.png"));
        CommandRun.Refused(ExitCode.BadInput, ["fake.png"], "generate", Models.Text, "-p", "what?", "--image", folder.In("fake.png"));
        File.WriteAllText(folder.In("data.jsonl"), """{"image": "fake.png", "question": "what?", "answer": "nothing"}""");
        CommandRun.Refused(ExitCode.BadInput, ["fake.png"],
            "quantize", Models.Vision, "--format", "fp8", "--calibration", folder.In("data.jsonl"), "-o", Output);
        CommandRun.Refused(ExitCode.BadInput, ["fake.png"], "eval", Models.Vision, "--data", folder.In("data.jsonl"));
        foreach (var file in Directory.GetFiles(Repository.Fixture("images"), "*", SearchOption.AllDirectories)
            .Where(file => file.Contains("malformed", StringComparison.Ordinal) && file.EndsWith(".png", StringComparison.Ordinal)).Take(12))
            Assert.True(CommandRun.Of("generate", Models.Vision, "-p", "what?", "-n", "1", "--image", file).Code is ExitCode.BadInput or ExitCode.Ok, file);
    }
}
