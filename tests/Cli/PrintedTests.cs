using System.Globalization;
using System.Text.Json;
using Nibble.Cli;
using Nibble.Cli.Output;
using Nibble.Models.Config;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Tensors.Host;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>What verbs print: every field for programs, every line for people, and the same numbers in both.</summary>
public sealed class PrintedTests(PrintedTests.Made made) : IClassFixture<PrintedTests.Made>, IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void Quantizing_says_what_came_of_it()
    {
        var report = made.Report;
        Assert.Equal(["wrote", "quantized", "size", "calibrated", "error", "took", "report", "next"], FirstWords(made.Quantized.Output));
        Told(made.Quantized.Output, $"wrote        {made.Checkpoint}", "quantized    21 modules, 21 to nvfp4",
            $"size         {Size(report, "bytes_before")} → {Size(report, "bytes_after")}",
            $"{report.GetProperty("text_tokens")} text and {report.GetProperty("vision_tokens")} vision tokens",
            $"error        weights {Mean("weight_error")}, outputs on text {Mean("text_error")}, on vision {Mean("vision_error")}  (mean",
            $"report       {Path.Combine(made.Checkpoint, "report.html")}", $"eval {made.Checkpoint} --against {Models.Vision}");
        Told(made.Quantized.Output, "calibrated   2 samples of ", "calib.jsonl: ", ", peak memory ");

        string Mean(string field) => Units.Number(made.MeanOfModules(field));
    }

    [Fact]
    public void Its_last_event_has_the_numbers_of_the_report()
    {
        var done = CommandRun.Good(["quantize", Models.Vision, "--overwrite", "--json", "-o", folder.In("out"), .. Made.Recipe]).JsonLines()[^1];
        Fields(done, "event output bytes_before bytes_after seconds peak_bytes weight_error text_error vision_error findings");
        Assert.Equal("done", done.GetProperty("event").GetString());
        foreach (var field in (string[])["bytes_before", "bytes_after"])
            Assert.Equal(made.Report.GetProperty(field).GetInt64(), done.GetProperty(field).GetInt64());
        foreach (var field in (string[])["weight_error", "text_error", "vision_error"])
            Assert.Equal(made.MeanOfModules(field), done.GetProperty(field).GetDouble(), 1e-12);
        Assert.NotEqual(done.GetProperty("text_error").GetDouble(), done.GetProperty("vision_error").GetDouble());
    }

    [Fact]
    public void A_checkpoint_that_breaks_a_rule_ends_with_5_and_names_it()
    {
        var run = CommandRun.Of("quantize", Models.Text, "--format", "w4a16_nvfp4", "--algorithm", "rtn", "-o", folder.In("out"));
        Assert.Equal(ExitCode.VerificationFailed, run.Code);
        Assert.Contains("error: The checkpoint breaks rules of vllm:", run.Error, StringComparison.Ordinal);
        Assert.Contains("k_proj.weight_scale_2: fused-scales-equal: expected ", run.Output, StringComparison.Ordinal);
        var found = CommandRun.Of("verify", folder.In("out"), "--json");
        Assert.Equal(ExitCode.VerificationFailed, found.Code);
        Fields(found.Json(), "checkpoint target passed findings warnings");
        var first = found.Json().GetProperty("findings")[0];
        Fields(first, "subject rule expected found");
        Assert.Contains($"expected {first.GetProperty("expected").GetString()}, found {first.GetProperty("found").GetString()}",
            CommandRun.Of("verify", folder.In("out")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_lists_every_module_and_the_sums()
    {
        string[] command = ["plan", Models.Vision, .. Made.Recipe];
        var plan = CommandRun.Good([.. command, "--json"]).Json();
        Fields(plan, "modules bytes_before bytes_after needs_data peak_bytes seconds problems obstacles");
        Assert.True(plan.GetProperty("needs_data").GetBoolean());
        foreach (var field in (string[])["bytes_before", "bytes_after"])
            Assert.Equal(made.Report.GetProperty(field).GetInt64(), plan.GetProperty(field).GetInt64());
        var module = plan.GetProperty("modules").EnumerateArray().Single(module => module.GetProperty("name").GetString() == "model.layers.1.mlp.up_proj");
        Assert.Equal("""
            {"name":"model.layers.1.mlp.up_proj","scope":"language","rows":512,"columns":256,"type":"BF16","scheme":"nvfp4","rule":"*","bytes_before":262144,"bytes_after":73732}
            """.Trim(), module.GetRawText());

        var text = CommandRun.Good(command).Output;
        Assert.Equal(["module", "shape", "type", "becomes", "before", "after", "rule"], Row(text, "module"));
        Assert.Equal(["model.layers.1.mlp.up_proj", "512×256", "BF16", "nvfp4", "256.0 KiB", "72.0 KiB", "*"], Row(text, "model.layers.1.mlp.up_proj"));
        Assert.Equal(["lm_head", "512×256", "BF16", "–", "256.0 KiB", "256.0 KiB", "*lm_head*"], Row(text, "lm_head"));
        Told(text, "quantized    21 of 51 linear modules, cache scales of 4 attention modules",
            $"size         {Size(plan, "bytes_before")} → {Size(plan, "bytes_after")}", "data         calibration needed", "peak memory  about ",
            "time         about ");
    }

    [Fact]
    public void A_plan_warns_of_tensors_the_network_does_not_use()
    {
        Models.WriteVision(folder.In("model"), tensors => tensors["model.extra.weight"] = Nibble.Tensors.Tensor.Zeros(4, 4));
        Assert.Contains("warning: ", CommandRun.Good("plan", folder.In("model"), "--format", "int8_wo").Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Scores_are_the_same_for_people_and_programs()
    {
        string[] command = ["eval", made.Checkpoint, "--against", Models.Vision, "--limit", "3"];
        var scores = CommandRun.Good([.. command, "--json"]).Json();
        Fields(scores, "questions questions_right exact_match by_kind choices choices_right choice text_tokens perplexity mean_nll answer_nll " +
            "answer_divergence text_divergence wrong option_scores seconds");
        Fields(scores.GetProperty("by_kind")[0], "kind right total");
        Fields(scores.GetProperty("text_divergence"), "mean top_agreement positions");
        Assert.Equal((3, 3), (scores.GetProperty("questions").GetInt32(), scores.GetProperty("choices").GetInt32()));
        var text = CommandRun.Good(command).Output;
        Told(text, $"perplexity                  {Number("perplexity"):0.0000}  ({scores.GetProperty("text_tokens")} tokens)",
            $"exact match                 {Units.Percent(Number("exact_match"))}  ({scores.GetProperty("questions_right")} of 3)",
            $"multiple choice             {Units.Percent(Number("choice"))}  ({scores.GetProperty("choices_right")} of 3)",
            $"NLL of the right answer     {Number("answer_nll"):0.0000}", $"KL on answers               {Divergence("answer_divergence")}",
            $"KL on text                  {Divergence("text_divergence")}");
        foreach (var kind in scores.GetProperty("by_kind").EnumerateArray())
            Told(text, $"  {kind.GetProperty("kind").GetString(),-26}{kind.GetProperty("right")} of {kind.GetProperty("total")}");

        double Number(string field) => scores.GetProperty(field).GetDouble();
        string Divergence(string field) => string.Create(CultureInfo.InvariantCulture,
            $"{scores.GetProperty(field).GetProperty("mean").GetDouble():0.00000}  (same top token " +
            $"{Units.Percent(scores.GetProperty(field).GetProperty("top_agreement").GetDouble())})");
    }

    [Fact]
    public void What_cannot_be_scored_is_refused()
    {
        Models.WriteVision(folder.In("model"));
        CommandRun.Refused(ExitCode.Usage, ["--data", "--text"], "eval", folder.In("model"));
        CommandRun.Refused(ExitCode.Usage, ["--against", "vocabulary"], "eval", Models.Text, "--against", Repository.Fixture("modelopt/models/llama"));
    }

    [Fact]
    public void A_quantized_checkpoint_is_inspected()
    {
        var view = CommandRun.Good("inspect", made.Checkpoint, "--json").Json();
        Fields(view, "path model_type quant_algorithm key_values bytes files tensors");
        var tensors = view.GetProperty("tensors").EnumerateArray().ToDictionary(tensor => tensor.GetProperty("name").GetString()!);
        Assert.Equal("""{"name":"model.layers.1.mlp.up_proj.weight","type":"U8","shape":[512,128],"bytes":65536,"format":"NVFP4"}""",
            tensors["model.layers.1.mlp.up_proj.weight"].GetRawText());
        Assert.Equal(JsonValueKind.Null, tensors["lm_head.weight"].GetProperty("format").ValueKind);
        Assert.Equal(1, view.GetProperty("files").GetInt32());
        var text = CommandRun.Good("inspect", made.Checkpoint).Output;
        Told(text, "model        qwen2_5_vl", "quantized    NVFP4, keys and values FP8", $"size         {Size(view, "bytes")} in {tensors.Count} tensors, 1 file");
        Assert.Equal(["U8", "NVFP4", "21", "864.0 KiB"], Row(text, "U8"));
        Told(CommandRun.Good("inspect", Models.Vision).Output, "quantized    no");
        Assert.Equal(["model.layers.1.mlp.up_proj.weight", "U8", "512×128", "64.0 KiB", "NVFP4"],
            Row(CommandRun.Good("inspect", made.Checkpoint, "--tensors").Output, "model.layers.1.mlp.up_proj.weight"));
    }

    [Fact]
    public void One_case_is_compared()
    {
        string[] command = ["compare", Models.Vision, "--inputs", Path.Combine(Models.Vision, "reference.safetensors"), "--case", "0", "--tolerance", "0.01"];
        var view = CommandRun.Good([.. command, "--json"]).Json();
        Fields(view, "outputs not_computed worst_abs tolerance passed");
        Assert.Equal(["0.last_logits", "0.logits", "0.position_ids", "0.vision_output"],
            view.GetProperty("outputs").EnumerateArray().Select(output => output.GetProperty("name").GetString()).Order(StringComparer.Ordinal));
        Fields(view.GetProperty("outputs")[0], "name count max_abs reference_max equal");
        var text = CommandRun.Good(command).Output;
        Assert.Equal(["output", "values", "largest difference", "largest value", "equal"], Row(text, "output"));
        Assert.Equal(["0.position_ids", "96", "0", "19", "yes"], Row(text, "0.position_ids"));
        Told(text, $"worst difference {Units.Number(view.GetProperty("worst_abs").GetDouble())}, within the tolerance");
    }

    [Fact]
    public void Listings_have_every_entry_and_every_field()
    {
        var formats = CommandRun.Good("formats", "--json").Json().GetProperty("formats").EnumerateArray().ToList();
        Assert.Equal([.. Schemes.All.Select(entry => entry.Scheme.Name), .. FormatPresets.All.Select(preset => preset.Name), .. Schemes.KeyValueNames],
            formats.Select(format => format.GetProperty("name").GetString()!));
        Assert.Equal("""
            {"name":"int4_awq","kind":"weights","aliases":["int4_awq_lite"],"description":"int4, algorithm awq","bits_per_weight":4.25,"needs_data":true,"consumers":"TensorRT-LLM"}
            """.Trim(), formats.Single(format => format.GetProperty("name").GetString() == "int4_awq").GetRawText());
        Assert.Equal(["kv", "weights"], formats.Select(format => format.GetProperty("kind").GetString()!).Distinct().Order());
        var table = CommandRun.Good("formats").Output;
        Assert.Equal(["format", "for", "bits", "data", "what it is", "read by", "also known as"], Row(table, "format"));
        Assert.Equal(["int4_awq", "weights", "4.25", "needed", "int4, algorithm awq", "TensorRT-LLM", "int4_awq_lite"], Row(table, "int4_awq"));
        Assert.Equal(["mxfp8", "weights", "8.25", "no"], Row(table, "mxfp8")[..4]);

        var models = CommandRun.Good("models").Output;
        foreach (var model in SupportedModels.All)
            Assert.Equal([model.ModelType, model.Inputs, model.Examples], Row(models, model.ModelType));
        Fields(CommandRun.Good("models", "--json").Json().GetProperty("models")[0], "model_type inputs examples");

        foreach (var (entry, view) in Algorithms.All.Zip(CommandRun.Good("algorithms", "--json").Json().GetProperty("algorithms").EnumerateArray()))
        {
            Fields(view, "name description source cost when_to_use needs_data");
            Assert.Equal((entry.Source, entry.Cost, entry.WhenToUse), (Text("source"), Text("cost"), Text("when_to_use")));
            Assert.Equal(entry.NeedsData, view.GetProperty("needs_data").GetBoolean());

            string Text(string field) => view.GetProperty(field).GetString()!;
        }
    }

    [Fact]
    public void The_machine_is_described()
    {
        var view = CommandRun.Good("doctor", "--json").Json();
        Fields(view, "version runtime system architecture processors threads cpu_level cpu_levels memory_bytes temporary_folder temporary_free_bytes warnings");
        Assert.Equal((Environment.ProcessorCount, Threads.Count), (view.GetProperty("processors").GetInt32(), view.GetProperty("threads").GetInt32()));
        Assert.Equal(Cpu.Level.ToString().ToLowerInvariant(), view.GetProperty("cpu_level").GetString());
        Assert.Equal(["nibble", "system", "cpu", "memory", "temporary", "gpu"], FirstWords(CommandRun.Good("doctor").Output));
    }

    [Fact]
    public void An_answer_says_how_it_came_about()
    {
        string[] command = ["generate", Models.Text, "-p", "4 + 6 = ?"];
        var end = End();
        Fields(end, "event text prompt_tokens new_tokens prefill_seconds decode_seconds stopped");
        Assert.Equal("stop token", end.GetProperty("stopped").GetString());
        var run = CommandRun.Good(command);
        Assert.Contains($"{end.GetProperty("prompt_tokens")} prompt tokens in ", run.Error, StringComparison.Ordinal);
        Assert.Contains($", {end.GetProperty("new_tokens")} new tokens", run.Error, StringComparison.Ordinal);
        Assert.Equal(end.GetProperty("text").GetString(), run.Output.TrimEnd());
        Assert.Equal("length", End("-n", "1").GetProperty("stopped").GetString());
        Assert.True(End("--system", "Count.").GetProperty("prompt_tokens").GetInt32() > end.GetProperty("prompt_tokens").GetInt32());
        Assert.True(End("--raw").GetProperty("prompt_tokens").GetInt32() < end.GetProperty("prompt_tokens").GetInt32());
        CommandRun.Refused(ExitCode.Usage, ["--raw", "--system"], [.. command, "--raw", "--system", "Count."]);

        string Drawn(string seed) => End("--temperature", "3", "-n", "12", "--seed", seed).GetProperty("text").GetString()!;
        Assert.Equal(Drawn("7"), Drawn("7"));
        Assert.NotEqual(Drawn("7"), Drawn("8"));

        JsonElement End(params string[] more) => CommandRun.Good([.. command, "--json", .. more]).JsonLines()[^1];
    }

    [Fact]
    public void Statistics_are_told_shown_and_merged()
    {
        foreach (var (name, text) in ((string, string)[])[("a", "14 16 18 20"), ("b", "Tom draws a cyan ring.")])
            File.WriteAllText(folder.In($"{name}.jsonl"), JsonSerializer.Serialize(new Dictionary<string, string> { ["text"] = text }));
        var told = CommandRun.Good("calibrate", Models.Text, "--calibration", folder.In("a.jsonl"), "-o", folder.In("a"));
        var done = CommandRun.Good("calibrate", Models.Text, "--calibration", folder.In("b.jsonl"), "-o", folder.In("b"), "--json").JsonLines()[^1];
        Fields(done, "event output bytes samples text_tokens vision_tokens seconds unseen");
        Assert.Contains("The statistics take about ", told.Error, StringComparison.Ordinal);
        Assert.Equal(["wrote", "calibrated", "took", "next"], FirstWords(told.Output));
        Told(told.Output, $"wrote        {folder.In("a")}, {Units.Bytes(new FileInfo(folder.In("a")).Length)}", $"--stats {folder.In("a")} -o out");

        var shown = CommandRun.Good("stats", "show", folder.In("a"), "--json").Json();
        Fields(shown, "path model shards bytes groups caches");
        Fields(shown.GetProperty("groups")[0], "modules width text_tokens vision_tokens text_amax vision_amax statistics");
        var cache = shown.GetProperty("caches")[0];
        Fields(cache, "attention key_amax rotated_key_amax value_amax centred_key_amax centred_value_amax");
        var tokens = shown.GetProperty("shards")[0].GetProperty("text_tokens").GetInt64();
        Told(told.Output, $"calibrated   1 samples: {tokens} text and 0 vision tokens");
        var table = CommandRun.Good("stats", "show", folder.In("a")).Output;
        Told(table, "model        qwen2", $"data         a.jsonl: 1 samples, {tokens} text and 0 vision tokens", $"size         {Size(shown, "bytes")}");
        Assert.Equal([cache.GetProperty("attention").GetString()!, .. ((string[])["key", "rotated_key", "value", "centred_key", "centred_value"])
            .Select(part => Units.Number(cache.GetProperty(part + "_amax").GetSingle()))], Row(table, "model.layers.0.self_attn"));
        Assert.Equal(5, cache.EnumerateObject().Skip(1).Select(part => part.Value.GetSingle()).Where(amax => amax > 0).Distinct().Count());

        string[] merge = ["stats", "merge", folder.In("a"), folder.In("b"), "-o", folder.In("both")];
        var merged = CommandRun.Good([.. merge, "--json"]).Json();
        Fields(merged, "output bytes shards samples text_tokens vision_tokens");
        var sum = tokens + done.GetProperty("text_tokens").GetInt64();
        Assert.Equal((2, 2, sum), (merged.GetProperty("shards").GetInt32(), merged.GetProperty("samples").GetInt64(), merged.GetProperty("text_tokens").GetInt64()));
        CommandRun.Refused(ExitCode.Usage, ["exists already", "--overwrite"], merge);
        Told(CommandRun.Good([.. merge, "--overwrite"]).Output,
            $"wrote        {folder.In("both")}, {Size(merged, "bytes")}: 2 shards, 2 samples, {sum} text and 0 vision tokens");
    }

    [Fact]
    public void A_calibration_for_people_warns_of_modules_without_tokens()
    {
        File.WriteAllText(folder.In("text.jsonl"), """{"text": "Tom draws a cyan ring."}""");
        Assert.Contains("warning: 22 modules saw no calibration token",
            CommandRun.Good("calibrate", Models.Vision, "--calibration", folder.In("text.jsonl"), "-o", folder.In("stats")).Error, StringComparison.Ordinal);
    }

    /// <summary>First words of lines that are not empty.</summary>
    static IEnumerable<string> FirstWords(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' ')[0]);

    /// <summary>Cells of the first line of a table that begins with this cell.</summary>
    static string[] Row(string text, string first) => text.Split('\n')
        .Select(line => line.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        .First(cells => cells.Length > 0 && cells[0] == first);

    static void Told(string text, params string[] parts)
    {
        foreach (var part in parts)
            Assert.Contains(part, text, StringComparison.Ordinal);
    }

    /// <summary>An object has these fields, in this order, and no others.</summary>
    static void Fields(JsonElement json, string names) => Assert.Equal(names, string.Join(' ', json.EnumerateObject().Select(field => field.Name)));

    static string Size(JsonElement json, string field) => Units.Bytes(json.GetProperty(field).GetInt64());

    /// <summary>A checkpoint that several tests look at.</summary>
    public sealed class Made : IDisposable
    {
        readonly TemporaryFolder folder = new();

        public Made()
        {
            Quantized = CommandRun.Good(["quantize", Models.Vision, "-o", Checkpoint, .. Recipe]);
            using var report = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Checkpoint, "report.json")));
            Report = report.RootElement.Clone();
        }

        internal static string[] Recipe { get; } = ["--format", "nvfp4", "--kv", "fp8", "--samples", "2", "--exclude", "model.layers.0.*"];

        internal string Checkpoint => folder.In("out");

        internal CommandRun Quantized { get; }

        internal JsonElement Report { get; }

        internal double MeanOfModules(string field) => Report.GetProperty("stages").EnumerateArray()
            .SelectMany(stage => stage.GetProperty("modules").EnumerateArray()).Average(module => module.GetProperty(field).GetDouble());

        public void Dispose() => folder.Dispose();
    }
}
