using System.Globalization;
using System.Text.Json;
using Nibble.Cli;
using Nibble.Cli.Output;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary><c>nibble auto</c> from samples to a checkpoint, and again from its scores.</summary>
public sealed class AutoTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_mixed_checkpoint_keeps_its_bits_verifies_and_tells_how_it_came_about()
    {
        var output = folder.In("out");
        var lines = CommandRun.Good("auto", Models.Vision, "--formats", "nvfp4,fp8,skip", "--effective-bits", "6", "--samples", "2",
            "-o", output, "--json", "--kv", "fp8").JsonLines();
        var chosen = lines.Single(line => line.GetProperty("event").GetString() == "chosen");
        Assert.InRange(chosen.GetProperty("effective_bits").GetDouble(), 5.8, 6);
        Assert.Equal(chosen.GetProperty("score").GetDouble(), chosen.GetProperty("lower_bound").GetDouble());
        Assert.Equal(["fp8", "nvfp4", "skip"], Formats(chosen).Values.Distinct().Order());
        Assert.Equal("skip", Formats(chosen)["lm_head"]);
        Assert.Contains(lines, line => line.GetProperty("event").GetString() == "progress" && line.GetProperty("phase").GetString() == "calibrating");
        Assert.Equal("done", lines[^1].GetProperty("event").GetString());

        Assert.True(CommandRun.Good("verify", output, "--json").Json().GetProperty("passed").GetBoolean());
        var inspected = CommandRun.Good("inspect", output, "--json").Json();
        Assert.Equal("MIXED_PRECISION", inspected.GetProperty("quant_algorithm").GetString());
        Assert.Equal("FP8", inspected.GetProperty("key_values").GetString());
        CommandRun.Good("eval", output, "--against", Models.Vision, "--limit", "1");

        var report = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(output, "report.json"))).RootElement;
        Assert.Equal(chosen.GetProperty("front").GetArrayLength(), report.GetProperty("search").GetProperty("front").GetArrayLength());
        var page = File.ReadAllText(Path.Combine(output, "report.html"));
        Assert.Contains("Size against damage", page, StringComparison.Ordinal);
        Assert.Contains("proven to be the best", page, StringComparison.Ordinal);
        Assert.Contains("nibble auto shapes-vlm --formats", File.ReadAllText(Path.Combine(output, "README.md")), StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(output, "sensitivities.json")));
        Assert.Equal(["out"], Directory.EnumerateFileSystemEntries(folder.Path).Select(Path.GetFileName));
    }

    [Fact]
    public void Scores_are_used_again_without_data_and_agree_with_a_recipe()
    {
        var measured = Chosen("--method", "kl", "--effective-bits", "8", "--scores", folder.In("scores.json"), "--samples", "2");
        var again = Chosen("--effective-bits", "8", "--from-scores", folder.In("scores.json"), "--calibration", "no such file",
            "--recipe-out", folder.In("recipe.yaml"));
        Assert.Equal("kl", again.GetProperty("method").GetString());
        Assert.Equal(Formats(measured), Formats(again));
        var plan = CommandRun.Good("plan", Models.Text, "--recipe", folder.In("recipe.yaml"), "--json").Json();
        foreach (var group in again.GetProperty("groups").EnumerateArray())
            foreach (var module in group.GetProperty("modules").EnumerateArray())
                Assert.Equal(group.GetProperty("format").GetString() is "skip" ? null : group.GetProperty("format").GetString(),
                    plan.GetProperty("modules").EnumerateArray().First(planned => planned.GetProperty("name").GetString() == module.GetString())
                        .GetProperty("scheme").GetString());

        var fewer = Chosen("--effective-bits", "5.5", "--from-scores", folder.In("scores.json"));
        Assert.InRange(fewer.GetProperty("effective_bits").GetDouble(), 5, 5.5);
        Assert.True(fewer.GetProperty("score").GetDouble() > again.GetProperty("score").GetDouble());
    }

    [Fact]
    public void The_choice_is_shown_with_the_sizes_around_it()
    {
        string[] command = ["auto", Models.Text, "--formats", "nvfp4,fp8", "--effective-bits", "6", "--samples", "2", "--plan-only", "--kv", "fp8",
            "--scores", folder.In("s.json"), "--recipe-out", folder.In("recipe.yaml")];
        var chosen = CommandRun.Good([.. command, "--json"]).JsonLines()[^1];
        Assert.Equal("event method effective_bits bytes score lower_bound groups front", string.Join(' ', chosen.EnumerateObject().Select(field => field.Name)));
        Assert.Equal("name scope modules format score", string.Join(' ', chosen.GetProperty("groups")[0].EnumerateObject().Select(field => field.Name)));
        Assert.Contains("\nkv: fp8\n", File.ReadAllText(folder.In("recipe.yaml")), StringComparison.Ordinal);
        var text = CommandRun.Good(command).Output;
        foreach (var format in chosen.GetProperty("groups").EnumerateArray().GroupBy(group => group.GetProperty("format").GetString()!))
            Assert.Contains($"{(format.Key == "skip" ? "left as it is" : format.Key),-12} {format.Sum(group => group.GetProperty("modules").GetArrayLength())} modules: ",
                text, StringComparison.Ordinal);
        foreach (var line in (string[])[$"bits         {Units.Number(chosen.GetProperty("effective_bits").GetDouble())} effective",
            $"size         {Units.Bytes(chosen.GetProperty("bytes").GetInt64())} at most",
            $"damage       {Units.Number(chosen.GetProperty("score").GetDouble())} (gradient score, 2 samples), proven to be the least within the limit"])
            Assert.Contains(line, text, StringComparison.Ordinal);
        var last = chosen.GetProperty("front")[chosen.GetProperty("front").GetArrayLength() - 1];
        Assert.Equal(["16", Units.Bytes(last.GetProperty("bytes").GetInt64()), "0"],
            text.TrimEnd().Split('\n')[^1].Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
    }

    [Fact]
    public void An_interrupted_search_finds_its_scores()
    {
        string[] command = ["auto", Models.Text, "--formats", "nvfp4,fp8", "--effective-bits", "6", "--samples", "2", "--plan-only",
            "--scores", folder.In("s.json")];
        Assert.Equal(ExitCode.Cancelled, CommandRun.Of(new CancellationToken(true), command).Code);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
        Assert.DoesNotContain("are used", CommandRun.Good(command).Error, StringComparison.Ordinal);
        Assert.Contains("s.json are used", CommandRun.Good(command).Error, StringComparison.Ordinal);
        Assert.DoesNotContain("are used", CommandRun.Good([.. command, "--method", "kl"]).Error, StringComparison.Ordinal);
        File.WriteAllText(folder.In("s.json"), "half");
        Assert.DoesNotContain("are used", CommandRun.Good(command).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_size_is_kept_on_disk()
    {
        const long limit = 4_600_000;
        CommandRun.Good("auto", Models.Vision, "--formats", "nvfp4,fp8", "--scope", "all", "--target-size", limit.ToString(CultureInfo.InvariantCulture),
            "--samples", "2", "-o", folder.In("out"));
        var bytes = Directory.GetFiles(folder.In("out"), "*.safetensors").Sum(file => new FileInfo(file).Length);
        Assert.InRange(bytes, 0.95 * limit, limit);
    }

    [Fact]
    public void A_scope_keeps_a_budget_of_its_own()
    {
        foreach (var limit in (string[][])[["--effective-bits", "16"], ["--target-size", "1GiB"]])
        {
            var chosen = CommandRun.Good(["auto", Models.Vision, "--formats", "nvfp4,fp8", "--scope", "language", "vision", "--scope-bits", "vision=8",
                .. limit, "--samples", "2", "--plan-only", "--json"]).JsonLines()[^1];
            Assert.Equal(["language", "vision"],
                chosen.GetProperty("groups").EnumerateArray().Select(group => group.GetProperty("scope").GetString()!).Distinct().Order());
            foreach (var group in chosen.GetProperty("groups").EnumerateArray())
                Assert.Equal(group.GetProperty("scope").GetString() == "vision" ? "fp8" : "skip", group.GetProperty("format").GetString());
        }
    }

    [Theory]
    [InlineData("--formats", "nvfp5", "'nvfp4'")]
    [InlineData("--formats", "skip", "at least one format")]
    [InlineData("--formats", "int3", "measuring only")]
    [InlineData("--effective-bits", "17", "at most 16")]
    [InlineData("--method", "hessian", "gradient")]
    [InlineData("--scope-bits", "vision=8", "add it to --scope")]
    [InlineData("--scope-bits", "language", "vision=8")]
    [InlineData("--scope-bits", "language=none", "vision=8")]
    [InlineData("--kv", "fp9", "'fp8'")]
    [InlineData("--samples", "0", "--samples")]
    [InlineData("--target-size", "1GiB", "Either --effective-bits or --target-size")]
    [InlineData("--from-scores", "missing.json", "missing.json")]
    public void A_wrong_value_is_refused(string option, string value, string told) => CommandRun.Refused(ExitCode.Usage, [told],
        ["auto", Models.Text, "--plan-only", .. option == "--formats" ? (string[])[] : ["--formats", "fp8"],
            .. option == "--effective-bits" ? (string[])[] : ["--effective-bits", "9"], option, value]);

    [Fact]
    public void What_cannot_be_reached_or_used_is_refused_before_anything_is_run()
    {
        string[] command = ["auto", Models.Text, "--formats", "nvfp4,fp8", "--calibration", "no such file", "-o", folder.In("out")];
        CommandRun.Refused(ExitCode.CannotFit, ["at least 5.1053 bits", "4.8 bits"], [.. command, "--effective-bits", "4.8"]);
        CommandRun.Refused(ExitCode.CannotFit, ["bytes", "allowed"], [.. command, "--target-size", "1MiB"]);
        CommandRun.Refused(ExitCode.CannotFit, ["language needs at least"], [.. command, "--effective-bits", "9", "--scope-bits", "language=5"]);
        CommandRun.Refused(ExitCode.BadInput, ["model.layer.*", "matches no module"], [.. command, "--effective-bits", "9", "--exclude", "model.layer.*"]);
        CommandRun.Refused(ExitCode.BadInput, ["--target sglang"], ["auto", Models.Text, "--formats", "mxfp4,fp8", "--target", "sglang",
            "--effective-bits", "9", "-o", folder.In("out")]);
        CommandRun.Refused(ExitCode.Usage, ["--output", "--plan-only"], "auto", Models.Text, "--formats", "fp8", "--effective-bits", "9");
        CommandRun.Refused(ExitCode.Usage, ["--scores and --from-scores"], [.. command, "--effective-bits", "9", "--scores", "a", "--from-scores", "b"]);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Theory]
    [InlineData("{", "no file of sensitivities")]
    [InlineData("null", "no file of sensitivities")]
    [InlineData("{\"method\": \"kl\"}", "no file of sensitivities")]
    [InlineData("{\"method\": \"kl\", \"groups\": [null]}", "no file of sensitivities")]
    [InlineData("{\"method\": \"kl\", \"groups\": [{\"name\": \"a\", \"modules\": [], \"scores\": {\"fp8\": -1}}]}", "a score from 0 on")]
    [InlineData("{\"method\": \"kl\", \"groups\": [{\"name\": \"a\", \"modules\": [], \"scores\": {\"fp8\": 1e999}}]}", "sensitivities.json")]
    [InlineData("{\"method\": \"kl\", \"groups\": [{\"name\": \"a\", \"modules\": [], \"scores\": {}}, " +
        "{\"name\": \"a\", \"modules\": [], \"scores\": {}}]}", "more than once")]
    [InlineData("{\"method\": \"kl\", \"model\": \"x\", \"groups\": []}", "the scores were taken of another model than")]
    public void Damaged_scores_are_refused(string text, string told)
    {
        File.WriteAllText(folder.In("sensitivities.json"), text);
        CommandRun.Refused(ExitCode.BadInput, [told], "auto", Models.Text, "--formats", "fp8", "--effective-bits", "9", "--plan-only",
            "--from-scores", folder.In("sensitivities.json"));
    }

    [Fact]
    public void Scores_that_lack_a_format_or_a_group_are_refused()
    {
        Chosen("--effective-bits", "8", "--scores", folder.In("scores.json"), "--samples", "1");
        CommandRun.Refused(ExitCode.BadInput, ["no score for mxfp8", "nvfp4"], "auto", Models.Text, "--formats", "mxfp8", "--effective-bits", "9",
            "--plan-only", "--from-scores", folder.In("scores.json"));
        var text = File.ReadAllText(folder.In("scores.json"));
        File.WriteAllText(folder.In("scores.json"), text.Replace("\"model.layers.1.mlp.down_proj\"", "\"model.layers.1.mlp.other\""));
        CommandRun.Refused(ExitCode.BadInput, ["no scores of model.layers.1.mlp.down_proj"], "auto", Models.Text, "--formats", "fp8",
            "--effective-bits", "9", "--plan-only", "--from-scores", folder.In("scores.json"));
    }

    /// <summary>What is chosen for the text model.</summary>
    static JsonElement Chosen(params string[] more) =>
        CommandRun.Good(["auto", Models.Text, "--formats", "nvfp4,fp8", "--plan-only", "--json", .. more]).JsonLines()[^1];

    static Dictionary<string, string> Formats(JsonElement chosen) => chosen.GetProperty("groups").EnumerateArray()
        .ToDictionary(group => group.GetProperty("name").GetString()!, group => group.GetProperty("format").GetString()!);
}
