using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>Whole commands on models with a mixture of experts.</summary>
public sealed class ExpertsTests
{
    static readonly string model = Repository.Fixture("modelopt/models/moe");

    [Theory, InlineData("qwen3_moe"), InlineData("qwen3_moe_nonorm")]
    public void Compare_holds_every_recorded_output_beside_ours(string name)
    {
        var recorded = Repository.Fixture($"models/{name}");
        var result = CommandRun.Good("compare", recorded, "--inputs", Path.Combine(recorded, "expected.safetensors"),
            "--tolerance", "3e-4", "--json").Json();
        Assert.Equal(0, result.GetProperty("not_computed").GetArrayLength());
        var outputs = result.GetProperty("outputs").EnumerateArray().ToDictionary(output => output.GetProperty("name").GetString()!);
        Assert.Equal(0, outputs["layers.1.experts"].GetProperty("max_abs").GetDouble());
        Assert.InRange(outputs["layers.1.router_logits"].GetProperty("max_abs").GetDouble(), 0, 1e-4);
    }

    [Fact]
    public void A_plan_lists_experts_and_leaves_the_router_alone()
    {
        var plan = CommandRun.Good("plan", model, "--format", "nvfp4", "--calibration", Path.Combine(model, "calib.safetensors"), "--json").Json();
        var modules = plan.GetProperty("modules").EnumerateArray()
            .ToDictionary(module => module.GetProperty("name").GetString()!, module => module.GetProperty("scheme").GetString());
        Assert.Equal(4 + 4 * 3, modules.Values.Count(scheme => scheme == "nvfp4"));
        Assert.Contains("model.layers.0.mlp.experts.3.down_proj", modules.Keys);
        Assert.DoesNotContain("model.layers.0.mlp.gate", modules.Keys);
    }

    [Theory, InlineData("fp8"), InlineData("nvfp4")]
    public void Experts_without_tokens_are_named_and_the_checkpoint_verifies(string format)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.Path);
        using (var calibration = SafetensorsFile.Open(Path.Combine(model, "calib.safetensors")))
            Models.WriteTensors(folder.In("one.safetensors"),
                new() { ["input_ids.0"] = Models.Integers([calibration.Load("input_ids.0").Row<long>(0)[0]], 1, 1) });
        CommandRun.Good("quantize", model, "--format", format, "--calibration", folder.In("one.safetensors"), "-o", folder.In("out"));
        Assert.True(CommandRun.Good("verify", folder.In("out"), "--target", "vllm", "--json").Json().GetProperty("passed").GetBoolean());

        using var report = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder.In("out"), "report.json")));
        var modules = report.RootElement.GetProperty("stages").EnumerateArray()
            .SelectMany(stage => stage.GetProperty("modules").EnumerateArray()).ToList();
        var unseen = modules.Where(module => module.GetProperty("text_tokens").GetInt64() == 0)
            .Select(module => module.GetProperty("name").GetString()!).ToList();
        Assert.Equal(2 * 3, unseen.Count);
        Assert.All(unseen, name => Assert.Contains(".mlp.experts.", name, StringComparison.Ordinal));
        var warning = Assert.Single(report.RootElement.GetProperty("warnings").EnumerateArray().Select(warning => warning.GetString()!),
            warning => warning.Contains("saw no calibration token", StringComparison.Ordinal));
        Assert.StartsWith("6 modules", warning, StringComparison.Ordinal);
        Assert.All(unseen, name => Assert.Contains(name, warning, StringComparison.Ordinal));
        Assert.Contains("model.layers.0.mlp.gate",
            report.RootElement.GetProperty("kept_modules").EnumerateArray().Select(name => name.GetString()));
    }

    [Fact]
    public void Experts_too_few_tokens_reached_are_said_to_be_rounded_to_nearest()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.Path);
        Models.WriteTensors(folder.In("one.safetensors"), new() { ["input_ids.0"] = Models.Integers([5], 1, 1) });
        var run = CommandRun.Good("quantize", model, "--format", "int4", "--algorithm", "gptq", "--calibration", folder.In("one.safetensors"),
            "-o", folder.In("out"));
        Assert.Contains("modules were rounded to nearest instead, like ", run.Error, StringComparison.Ordinal);
    }

    /// <summary>The largest difference of a logit, logits reaching 15: 0.10, 1.2, 2.0 and below 2 measured.</summary>
    [Theory]
    [InlineData("int8_wo", 0.2)]
    [InlineData("mxfp8", 2)]
    [InlineData("int4", 4)]
    [InlineData("w4a16_nvfp4", 4)]
    public void Quantized_experts_compute_nearly_what_the_plain_ones_do(string format, double largest)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.Path);
        using var calibration = SafetensorsFile.Open(Path.Combine(model, "calib.safetensors"));
        Models.WriteTensors(folder.In("recorded.safetensors"), new()
        {
            ["input_ids"] = calibration.Load("input_ids.0").Slice(0, 1),
            ["logits"] = calibration.Load("logits.0"),
        });
        CommandRun.Good("quantize", model, "--format", format, "-o", folder.In("out"));
        double Difference(string path) => CommandRun.Good("compare", path, "--inputs", folder.In("recorded.safetensors"), "--json").Json()
            .GetProperty("worst_abs").GetDouble();
        Assert.InRange(Difference(model), 0, 1e-4);
        Assert.InRange(Difference(folder.In("out")), largest / 10, largest);
    }

    [Fact]
    public void A_checkpoint_that_lacks_an_expert_is_refused_before_any_work()
    {
        using var folder = new TemporaryFolder();
        var broken = folder.In("broken");
        Directory.CreateDirectory(broken);
        using (var whole = SafetensorsFile.Open(Path.Combine(model, "model.safetensors")))
            Models.WriteTensors(Path.Combine(broken, "model.safetensors"), whole.Tensors
                .Where(tensor => tensor.Name != "model.layers.0.mlp.experts.2.up_proj.weight")
                .ToDictionary(tensor => tensor.Name, tensor => whole.Load(tensor.Name)));
        File.Copy(Path.Combine(model, "config.json"), Path.Combine(broken, "config.json"));
        CommandRun.Refused(Nibble.Cli.ExitCode.BadInput, ["model.layers.0.mlp.experts.2.up_proj.weight"],
            "quantize", broken, "--format", "mxfp8", "-o", folder.In("out"));
        Assert.False(Directory.Exists(folder.In("out")));
    }
}
