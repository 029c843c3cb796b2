using Nibble.Cli;
using Nibble.Quant.Planning;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>What every verb has in common: help, JSON, streams, suggestions, exit codes.</summary>
public sealed class VerbTests
{
    static readonly string[] Algorithm =
        ["--algorithm", "--preset", "--scales", "--awq", "--awq-step", "--smoothquant-alpha", "--range", "--rank", "--rotation"];

    static readonly Dictionary<string, string[]> Options = new()
    {
        ["plan"] = ["--output", "-o", "--json", "--format", "-f", "--kv", "--scope", "--exclude", .. Algorithm, "--recipe", "--calibration",
            "--samples", "--stats", "--target", "--activation-budget", "--max-shard-size"],
        ["quantize"] = ["--output", "-o", "--overwrite", "--json", "--format", "-f", "--kv", "--scope", "--exclude", .. Algorithm, "--recipe",
            "--calibration", "--samples", "--stats", "--target", "--activation-budget", "--max-shard-size"],
        ["auto"] = ["--output", "-o", "--overwrite", "--plan-only", "--scores", "--from-scores", "--recipe-out", "--json", "--formats",
            "--effective-bits", "--target-size", "--scope-bits", "--method", "--kv", "--scope", "--exclude", "--rotation", "--calibration",
            "--samples", "--target", "--activation-budget", "--max-shard-size"],
        ["calibrate"] = ["--output", "-o", "--for", "--statistics", "--recipe", "--rotation", "--calibration", "--samples", "--activation-budget",
            "--overwrite", "--json"],
        ["stats"] = [],
        ["verify"] = ["--target", "--json"],
        ["inspect"] = ["--tensors", "--json"],
        ["eval"] = ["--data", "--text", "--against", "--limit", "--max-new-tokens", "-n", "--json"],
        ["generate"] = ["--prompt", "-p", "--image", "--system", "--raw", "--max-new-tokens", "-n", "--temperature", "--top-k", "--top-p",
            "--min-p", "--repetition-penalty", "--seed", "--json"],
        ["compare"] = ["--inputs", "--case", "--tolerance", "--json"],
        ["formats"] = ["--json"],
        ["algorithms"] = ["--json"],
        ["models"] = ["--json"],
        ["doctor"] = ["--json"],
    };

    /// <summary>Options of other verbs that descriptions speak of.</summary>
    static readonly string[] Mentioned = ["--format", "--stats"];

    public static TheoryData<string> Verbs => [.. Options.Keys];

    [Fact]
    public void Help_lists_every_verb_on_the_data_stream()
    {
        var help = CommandRun.Good("--help");
        foreach (var verb in Options.Keys)
            Assert.Contains($"  {verb} ", help.Output, StringComparison.Ordinal);
        Assert.Empty(help.Error);
    }

    [Theory, MemberData(nameof(Verbs))]
    public void Help_of_a_verb_lists_every_option(string verb)
    {
        var help = CommandRun.Good(verb, "--help");
        foreach (var option in Options[verb])
            Assert.Contains(option, help.Output, StringComparison.Ordinal);
        var listed = help.Output.Split([' ', ',', '\n']).Where(word => word.StartsWith("--", StringComparison.Ordinal) && word.Length > 2);
        Assert.Subset(Options[verb].Concat(Mentioned).Append("--help").ToHashSet(), listed.Select(word => word.TrimEnd('.', ';', ':', ')')).ToHashSet());
    }

    [Fact]
    public void The_version_is_data()
    {
        var version = CommandRun.Good("--version");
        Assert.Matches(@"^\d+\.\d+\.\d+", version.Output);
        Assert.Empty(version.Error);
    }

    [Theory]
    [InlineData("quantise", "'quantize'")]
    [InlineData("evel", "'eval'")]
    [InlineData("genrate", "'generate'")]
    [InlineData("--hlep", "'--help'")]
    public void A_mistyped_verb_gets_a_suggestion(string typed, string meant) => CommandRun.Refused(ExitCode.Usage, [typed, meant], typed);

    [Theory]
    [InlineData("--fromat", "'--format'")]
    [InlineData("--calibratoin", "'--calibration'")]
    public void A_mistyped_option_gets_a_suggestion(string typed, string meant) =>
        CommandRun.Refused(ExitCode.Usage, [typed, meant], "quantize", Models.Vision, typed, "x", "-o", "nowhere");

    [Theory]
    [InlineData("--format", "nvfp5", "'nvfp4'")]
    [InlineData("--format", "something-else", "int8_wo")]
    [InlineData("--format", "int3", "measuring only")]
    [InlineData("--format", "int2", "measuring only")]
    [InlineData("--kv", "fp9", "'fp8'")]
    [InlineData("--scope", "visoin", "'vision'")]
    [InlineData("--target", "vlm", "'vllm'")]
    [InlineData("--algorithm", "mxa", "'max'")]
    [InlineData("--format", "int4_aqw", "'int4_awq'")]
    [InlineData("--preset", "bset", "'best'")]
    [InlineData("--scales", "four", "four-over-six")]
    [InlineData("--awq", "ful", "'full'")]
    [InlineData("--awq-step", "small", "number")]
    [InlineData("--rotation", "hadamart", "'hadamard'")]
    [InlineData("--rank", "1.5", "whole number")]
    [InlineData("--smoothquant-alpha", "x", "number")]
    [InlineData("--activation-budget", "lots", "64MiB")]
    [InlineData("--max-shard-size", "0", "--max-shard-size")]
    [InlineData("--samples", "0", "--samples")]
    [InlineData("--recipe", "missing.yaml", "missing.yaml")]
    [InlineData("--calibration", "missing.jsonl", "missing.jsonl")]
    public void A_wrong_value_is_refused_before_anything_is_written(string option, string value, string told)
    {
        using var folder = new TemporaryFolder();
        foreach (var verb in (string[])["plan", "quantize"])
            CommandRun.Refused(ExitCode.Usage, [option, told], [verb, Models.Vision, "-o", folder.In("out"),
                .. option is "--format" or "--recipe" ? (string[])[] : ["--format", "nvfp4"], option, value]);
        Assert.False(Directory.Exists(folder.In("out")));
    }

    [Fact]
    public void A_missing_argument_is_named()
    {
        CommandRun.Refused(ExitCode.Usage, ["--output"], "quantize", Models.Vision, "--format", "fp8");
        CommandRun.Refused(ExitCode.Usage, ["--format", "nibble formats"], "quantize", Models.Vision, "-o", "nowhere");
        CommandRun.Refused(ExitCode.Usage, ["--prompt"], "generate", Models.Vision);
        CommandRun.Refused(ExitCode.Usage, ["--inputs"], "compare", Models.Vision);
        CommandRun.Refused(ExitCode.Usage, ["--max-new-tokens"], "generate", Models.Vision, "-p", "x", "-n", "0");
        CommandRun.Refused(ExitCode.Usage, ["--limit"], "eval", Models.Vision, "--limit", "0");
        Assert.Equal(ExitCode.Usage, CommandRun.Of().Code);
    }

    [Theory]
    [InlineData("verify")]
    [InlineData("inspect")]
    [InlineData("eval")]
    [InlineData("plan", "--format", "fp8")]
    [InlineData("generate", "-p", "x")]
    public void A_folder_that_is_not_there_is_bad_input(string verb, params string[] more) =>
        CommandRun.Refused(ExitCode.BadInput, ["/no/such/model"], [verb, "/no/such/model", .. more]);

    [Fact]
    public void Listings_print_one_object()
    {
        var formats = CommandRun.Good("formats", "--json").Json().GetProperty("formats").EnumerateArray().ToList();
        Assert.Contains(formats, format => format.GetProperty("name").GetString() == "nvfp4" && format.GetProperty("needs_data").GetBoolean());
        Assert.Contains(CommandRun.Good("models", "--json").Json().GetProperty("models").EnumerateArray(),
            model => model.GetProperty("model_type").GetString() == "qwen2_5_vl");
        var algorithms = CommandRun.Good("algorithms", "--json").Json().GetProperty("algorithms").EnumerateArray().ToList();
        Assert.Equal(Algorithms.All.Select(entry => entry.Name), algorithms.Select(algorithm => algorithm.GetProperty("name").GetString()));
        var listed = CommandRun.Good("algorithms").Output;
        Assert.All(algorithms, algorithm => Assert.All((string[])["name", "description", "source", "cost", "when_to_use"],
            field => Assert.Contains(algorithm.GetProperty(field).GetString()!, listed, StringComparison.Ordinal)));
        Assert.True(CommandRun.Good("doctor", "--json").Json().GetProperty("memory_bytes").GetInt64() > 0);
        Assert.Contains("nvfp4", CommandRun.Good("formats").Output, StringComparison.Ordinal);
        Assert.Contains("llama", CommandRun.Good("models").Output, StringComparison.Ordinal);
        Assert.Contains("memory", CommandRun.Good("doctor").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Inspect_shows_a_plain_model()
    {
        var view = CommandRun.Good("inspect", Models.Vision, "--json").Json();
        Assert.Equal("qwen2_5_vl", view.GetProperty("model_type").GetString());
        Assert.Contains(view.GetProperty("tensors").EnumerateArray(), tensor => tensor.GetProperty("name").GetString() == "lm_head.weight");
        Assert.DoesNotContain("lm_head.weight", CommandRun.Good("inspect", Models.Vision).Output, StringComparison.Ordinal);
        Assert.Contains("lm_head.weight", CommandRun.Good("inspect", Models.Vision, "--tensors").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Compare_holds_the_recording_beside_ours()
    {
        var recording = Path.Combine(Models.Vision, "reference.safetensors");
        var view = CommandRun.Good("compare", Models.Vision, "--inputs", recording, "--case", "0", "--tolerance", "0.01", "--json").Json();
        Assert.True(view.GetProperty("passed").GetBoolean());
        Assert.True(view.GetProperty("worst_abs").GetDouble() < 0.01);
        Assert.NotEmpty(view.GetProperty("outputs").EnumerateArray());
        var strict = CommandRun.Of("compare", Models.Vision, "--inputs", recording, "--case", "0", "--tolerance", "0");
        Assert.Equal(ExitCode.VerificationFailed, strict.Code);
        Assert.Contains("beyond the tolerance", strict.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Cancelling_ends_with_130()
    {
        using var folder = new TemporaryFolder();
        var run = CommandRun.Of(new CancellationToken(true), "quantize", Models.Vision, "--format", "int8_wo", "-o", folder.In("out"));
        Assert.Equal(ExitCode.Cancelled, run.Code);
        Assert.Contains("same command continues", run.Error, StringComparison.Ordinal);
        CommandRun.Good("quantize", Models.Vision, "--format", "int8_wo", "-o", folder.In("out"));
        Assert.Equal(ExitCode.Cancelled, CommandRun.Of(new CancellationToken(true), "generate", Models.Vision, "-p", "x").Code);
    }
}
