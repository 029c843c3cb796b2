using System.Text.Json;
using System.Text.Json.Nodes;
using Nibble.Cli;
using Nibble.Export;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>Weights that are rotated first, from quantize to generate.</summary>
public sealed class RotationTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    string Quantize(string output, string model, params string[] arguments)
    {
        CommandRun.Good(["quantize", model, "--samples", "4", "-o", folder.In(output), .. arguments]);
        return folder.In(output);
    }

    /// <summary>KL on answers, of four questions: as without a rotation in <see cref="MatrixTests"/>, 0.166 and 0.019 measured.</summary>
    static double LargestDivergence(string algorithm) => algorithm == "smoothquant" ? 0.3 : 0.04;

    [Theory]
    [InlineData("vision", "nvfp4", "max")]
    [InlineData("vision", "nvfp4", "awq")]
    [InlineData("vision", "nvfp4", "svdquant")]
    [InlineData("vision", "int8", "smoothquant")]
    [InlineData("vision", "int4", "gptq")]
    [InlineData("vision", "w4a8", "best")]
    [InlineData("vision", "mxfp4", "vlm-ptq")]
    [InlineData("vision", "fp8_pb_wo", "max")]
    [InlineData("text", "nvfp4", "best")]
    [InlineData("text", "fp8", "max")]
    public void A_rotated_model_verifies_scores_and_answers(string model, string format, string algorithm)
    {
        var source = model == "vision" ? Models.Vision : Models.Text;
        var output = Quantize("out", source, "--format", format, "--algorithm", algorithm, "--rotation", "hadamard", "--kv", "fp8");
        Assert.True(CommandRun.Good("verify", output, "--json").Json().GetProperty("passed").GetBoolean());
        var scores = CommandRun.Good("eval", output, "--against", source, "--limit", "4", "--json").Json();
        Assert.InRange(scores.GetProperty("perplexity").GetDouble(), 1, 3);
        Assert.InRange(scores.GetProperty("answer_divergence").GetProperty("mean").GetDouble(), 1e-9, LargestDivergence(algorithm));
        var answer = CommandRun.Good(["generate", output, "-p", "is there a circle?", "-n", "4", "--json",
            .. model == "vision" ? ["--image", Path.Combine(source, "eval", "000.png")] : (string[])[]]).JsonLines();
        Assert.Equal("end", answer[^1].GetProperty("event").GetString());
        Assert.Contains("rotation=hadamard", File.ReadAllText(Path.Combine(output, "report.json")), StringComparison.Ordinal);
        Assert.Contains("--rotation hadamard", File.ReadAllText(Path.Combine(output, "README.md")), StringComparison.Ordinal);
    }

    /// <summary>The head is quantized too, as a module that the original does not have.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_tied_model_ends_up_with_a_head_of_its_own(bool quantizedHead)
    {
        Models.WriteVision(folder.In("tied"), tensors => tensors.Remove("lm_head.weight"));
        var config = JsonNode.Parse(File.ReadAllBytes(folder.In("tied/config.json")))!.AsObject();
        config["tie_word_embeddings"] = true;
        File.WriteAllText(folder.In("tied/config.json"), config.ToJsonString());
        File.WriteAllText(folder.In("recipe.yaml"),
            $"rotation: hadamard\nrules: [{{scope: language, format: int8_wo}}{(quantizedHead ? ", {modules: lm_head, format: int8_wo}" : "")}]");
        var output = Quantize("out", folder.In("tied"), "--recipe", folder.In("recipe.yaml"));

        using (var written = CheckpointFolder.Open(output))
        {
            Assert.Equal(quantizedHead ? DType.I8 : DType.BF16, written.Find("lm_head.weight")!.DType);
            Assert.Equal(written.Find("model.embed_tokens.weight")!.Shape, written.Find("lm_head.weight")!.Shape);
            using var json = JsonDocument.Parse(written.Config);
            Assert.False(json.RootElement.GetProperty("tie_word_embeddings").GetBoolean());
            var excluded = written.HfQuantConfig!.Value.GetProperty("quantization").GetProperty("exclude_modules").EnumerateArray().Select(name => name.GetString());
            Assert.Equal(!quantizedHead, excluded.Contains("lm_head"));
        }
        Assert.True(CommandRun.Good("verify", output, "--target", "trtllm", "--json").Json().GetProperty("passed").GetBoolean());
        var scores = CommandRun.Good("eval", output, "--against", folder.In("tied"), "--text", Path.Combine(Models.Vision, "eval_text.txt"),
            "--limit", "4", "--json").Json();
        Assert.InRange(scores.GetProperty("text_divergence").GetProperty("mean").GetDouble(), 1e-9, 1e-3);
    }

    [Fact]
    public void Statistics_are_of_one_basis()
    {
        string Calibrate(string name, params string[] more)
        {
            CommandRun.Good(["calibrate", Models.Vision, "--samples", "4", "-o", folder.In(name), .. more]);
            return folder.In(name);
        }
        string[] nvfp4 = ["--format", "nvfp4"], turned = [.. nvfp4, "--rotation", "hadamard"];
        var (plain, rotated) = (Calibrate("plain.safetensors"), Calibrate("rotated.safetensors", "--rotation", "hadamard"));
        CommandRun.Refused(ExitCode.BadInput, ["rotated.safetensors", "rotation is 'hadamard' there and 'none' here"],
            ["quantize", Models.Vision, "--stats", rotated, "-o", folder.In("no"), .. nvfp4]);
        CommandRun.Refused(ExitCode.BadInput, ["plain.safetensors", "rotation is 'none' there and 'hadamard' here"],
            ["quantize", Models.Vision, "--stats", plain, "-o", folder.In("no"), .. turned]);
        CommandRun.Refused(ExitCode.BadInput, ["cannot be merged: rotation is"], "stats", "merge", plain, rotated, "-o", folder.In("merged.safetensors"));

        CommandRun.Good(["quantize", Models.Vision, "--stats", rotated, "-o", folder.In("stored"), .. turned]);
        Assert.Equal(File.ReadAllBytes(Path.Combine(Quantize("direct", Models.Vision, turned), "model.safetensors")),
            File.ReadAllBytes(folder.In("stored/model.safetensors")));
    }

    [Fact]
    public void Calibrate_takes_the_rotation_of_a_recipe()
    {
        File.WriteAllText(folder.In("recipe.yaml"), "rotation: hadamard\nrules: [{scope: language, format: int4_awq}]");
        CommandRun.Good("calibrate", Models.Vision, "--samples", "2", "--recipe", folder.In("recipe.yaml"), "-o", folder.In("stats.safetensors"));
        CommandRun.Good("quantize", Models.Vision, "--recipe", folder.In("recipe.yaml"), "--stats", folder.In("stats.safetensors"), "-o", folder.In("out"));
        CommandRun.Refused(ExitCode.Usage, ["--rotation none", "hadamard"],
            "calibrate", Models.Vision, "--recipe", folder.In("recipe.yaml"), "--rotation", "none", "-o", folder.In("other.safetensors"));
    }

    [Fact]
    public void Auto_searches_in_the_rotated_basis()
    {
        string[] auto = ["auto", Models.Vision, "--formats", "nvfp4,fp8", "--effective-bits", "6", "--samples", "4"];
        CommandRun.Good([.. auto, "--rotation", "hadamard", "--scores", folder.In("scores.json"), "--recipe-out", folder.In("recipe.yaml"), "-o", folder.In("out")]);
        Assert.Contains("rotation: hadamard", File.ReadAllText(folder.In("recipe.yaml")), StringComparison.Ordinal);
        CommandRun.Refused(ExitCode.BadInput, ["another --rotation"], [.. auto, "--from-scores", folder.In("scores.json"), "--plan-only"]);
        CommandRun.Good([.. auto, "--rotation", "hadamard", "--from-scores", folder.In("scores.json"), "--plan-only"]);
        var again = Quantize("again", Models.Vision, "--recipe", folder.In("recipe.yaml"));
        Assert.Equal(File.ReadAllBytes(folder.In("out/model.safetensors")), File.ReadAllBytes(Path.Combine(again, "model.safetensors")));
    }

    [Fact]
    public void What_cannot_be_rotated_is_refused_before_anything_is_written()
    {
        Models.WriteVision(folder.In("layernorm"), tensors => tensors.Add("model.norm.bias", tensors["model.norm.weight"]));
        foreach (var verb in (string[])["plan", "quantize"])
            CommandRun.Refused(ExitCode.BadInput, ["model.norm.bias", "no RMSNorm"],
                verb, folder.In("layernorm"), "--format", "int8_wo", "--rotation", "hadamard", "-o", folder.In("no"));
        Models.WriteVision(folder.In("missing"), tensors => tensors.Remove("model.layers.2.mlp.up_proj.weight"));
        CommandRun.Refused(ExitCode.BadInput, ["missing", "model.layers.2.mlp.up_proj.weight"],
            "quantize", folder.In("missing"), "--format", "int8_wo", "--rotation", "hadamard", "-o", folder.In("no"));
        CommandRun.Refused(ExitCode.BadInput, ["already quantized"],
            "quantize", Quantize("fp8", Models.Text, "--format", "fp8"), "--format", "int8_wo", "--rotation", "hadamard", "-o", folder.In("no"));
        CommandRun.Refused(ExitCode.Usage, ["--rotation hadamart", "'hadamard'"],
            "quantize", Models.Vision, "--format", "int8_wo", "--rotation", "hadamart", "-o", folder.In("no"));
        Assert.False(Directory.Exists(folder.In("no")));
    }

    [Fact]
    public void Algorithms_lists_it()
    {
        Assert.Contains("--rotation", CommandRun.Good("algorithms").Output, StringComparison.Ordinal);
        Assert.Equal("hadamard", Assert.Single(CommandRun.Good("algorithms", "--json").Json().GetProperty("rotations").EnumerateArray())
            .GetProperty("name").GetString());
    }
}
