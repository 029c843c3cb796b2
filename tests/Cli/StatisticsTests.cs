using System.Text.Json;
using Nibble.Cli;
using Nibble.Export.Safetensors;
using Nibble.Tensors;
using Nibble.Tests.Quant.Formats;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>Statistics as files: calibrated once, merged, shown, and used instead of data.</summary>
public sealed class StatisticsTests : IDisposable
{
    /// <summary>The first of the sample's calibration lines, so that a test takes little time.</summary>
    const int Samples = 3;

    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    string Calibrate(string name, params string[] more)
    {
        CommandRun.Good(["calibrate", Models.Vision, "-o", folder.In(name), .. more, .. more.Contains("--calibration") ? (string[])[] : ["--samples", $"{Samples}"]]);
        return folder.In(name);
    }

    /// <summary>Some lines of the sample's data, in a folder of its own with their pictures.</summary>
    string Lines(string name, Range lines)
    {
        var place = Directory.CreateDirectory(folder.In(name)).FullName;
        Directory.CreateSymbolicLink(Path.Combine(place, "calib"), Path.Combine(Models.Vision, "calib"));
        File.WriteAllLines(Path.Combine(place, "data.jsonl"), File.ReadAllLines(Path.Combine(Models.Vision, "calib.jsonl"))[lines]);
        return Path.Combine(place, "data.jsonl");
    }

    byte[] Weights(string output, params string[] arguments)
    {
        CommandRun.Good(["quantize", Models.Vision, "-o", folder.In(output), .. arguments]);
        return File.ReadAllBytes(folder.In($"{output}/model.safetensors"));
    }

    /// <summary>One file of statistics serves every one of these.</summary>
    [Theory]
    [InlineData("--format fp8")]
    [InlineData("--format int8 --scope all")]
    [InlineData("--format nvfp4 --kv fp8")]
    [InlineData("--format none --kv nvfp4_rotate")]
    [InlineData("--format fp8 --kv fp8_affine")]
    [InlineData("--format fp8 --range percentile:99")]
    [InlineData("--format nvfp4 --range headroom")]
    [InlineData("--format int8 --range mse")]
    [InlineData("--format fp8 --range entropy")]
    [InlineData("--format int8 --algorithm smoothquant")]
    [InlineData("--format int4 --algorithm awq")]
    public void Quantizing_from_statistics_gives_the_bytes_of_a_run_over_the_data(string words)
    {
        var recipe = words.Split(' ');
        var statistics = Calibrate("stats.safetensors", recipe.Contains("awq") ? ["--for", "int4:awq"] : []);
        var direct = Weights("direct", [.. recipe, "--samples", $"{Samples}"]);
        Assert.Equal(direct, Weights("stored", [.. recipe, "--stats", statistics]));
        foreach (var name in (string[])["config.json", "hf_quant_config.json"])
            Assert.Equal(File.ReadAllBytes(folder.In($"direct/{name}")), File.ReadAllBytes(folder.In($"stored/{name}")));
        JsonElement Report(string output) => JsonDocument.Parse(File.ReadAllBytes(folder.In($"{output}/report.json"))).RootElement;
        foreach (var field in (string[])["samples", "text_tokens", "vision_tokens"])
            Assert.Equal(Report("direct").GetProperty(field).GetInt64(), Report("stored").GetProperty(field).GetInt64());
        Assert.Contains("--stats stats.safetensors", File.ReadAllText(folder.In("stored/README.md")), StringComparison.Ordinal);
    }

    /// <summary>
    /// The inputs of the first attention are the same with and without quantized modules before it, for there are none.
    /// </summary>
    [Fact]
    public void GPTQ_from_statistics_is_GPTQ_where_nothing_was_quantized_before()
    {
        var statistics = Calibrate("stats.safetensors", "--for", "int4:gptq", "--statistics", "rows");
        string[] gptq = ["--format", "int4", "--algorithm", "gptq"];
        Weights("direct", [.. gptq, "--samples", $"{Samples}"]);
        Weights("stored", [.. gptq, "--stats", statistics]);
        Weights("max", "--format", "int4", "--stats", statistics);
        using var direct = SafetensorsFile.Open(folder.In("direct/model.safetensors"));
        using var stored = SafetensorsFile.Open(folder.In("stored/model.safetensors"));
        using var max = SafetensorsFile.Open(folder.In("max/model.safetensors"));
        foreach (var module in (string[])["q_proj", "k_proj", "v_proj"])
        {
            byte[] Codes(SafetensorsFile file) => [.. file.Load($"model.layers.0.self_attn.{module}.weight").Span<byte>()];
            var (expected, codes) = (Codes(direct), Codes(stored));
            Assert.InRange(expected.Zip(codes).Count(pair => pair.First != pair.Second), 0, expected.Length / 100); // sums in another order: 0.3 %
            Assert.InRange(Codes(max).Zip(codes).Count(pair => pair.First != pair.Second), expected.Length / 20, expected.Length);
        }
        var errors = JsonDocument.Parse(File.ReadAllBytes(folder.In("stored/report.json"))).RootElement.GetProperty("stages")
            .EnumerateArray().SelectMany(stage => stage.GetProperty("modules").EnumerateArray()).ToList();
        Assert.All(errors, module => Assert.True(module.GetProperty("text_error").GetDouble() < 0.2));
    }

    [Theory]
    [InlineData("--format nvfp4")]
    [InlineData("--format fp8 --range percentile:99")]
    [InlineData("--format fp8 --algorithm gptq")]
    [InlineData("--format nvfp4 --algorithm gptq")]
    public void Experts_are_calibrated_one_by_one(string words)
    {
        var model = Repository.Fixture("modelopt/models/moe");
        string[] recipe = words.Split(' '), data = ["--calibration", Path.Combine(model, "calib.safetensors")];
        CommandRun.Good(["calibrate", model, .. data, "--statistics", "histogram,moments", "-o", folder.In("stats")]);
        var groups = CommandRun.Good("stats", "show", folder.In("stats"), "--json").Json().GetProperty("groups").EnumerateArray()
            .Where(group => group.GetProperty("modules")[0].GetString()!.Contains(".experts.", StringComparison.Ordinal)).ToList();
        Assert.Equal(4 * 2, groups.Count);
        Assert.True(groups.Select(group => group.GetProperty("text_tokens").GetInt64()).Distinct().Count() > 1);
        CommandRun.Good(["quantize", model, .. recipe, "--stats", folder.In("stats"), "-o", folder.In("stored")]);
        if (recipe.Contains("gptq"))
        {
            GateAndUpShareAScale(folder.In("stored/model.safetensors"), recipe.Contains("fp8") ? "weight_scale" : "weight_scale_2");
            return; // a run over data rounds on other inputs
        }
        CommandRun.Good(["quantize", model, .. recipe, .. data, "-o", folder.In("direct")]);
        Assert.Equal(File.ReadAllBytes(folder.In("direct/model.safetensors")), File.ReadAllBytes(folder.In("stored/model.safetensors")));
    }

    /// <summary>Runtimes hold gate and up of an expert in one matrix; every expert has a scale of its own.</summary>
    static void GateAndUpShareAScale(string path, string name)
    {
        using var file = SafetensorsFile.Open(path);
        float Scale(int expert, string module) => file.Load($"model.layers.0.mlp.experts.{expert}.{module}.{name}").Span<float>()[0];
        for (var expert = 0; expert < 4; expert++)
            Assert.Equal(Scale(expert, "gate_proj"), Scale(expert, "up_proj"));
        Assert.Equal(4, Enumerable.Range(0, 4).Select(expert => Scale(expert, "gate_proj")).Distinct().Count());
        Assert.NotEqual(Scale(0, "gate_proj"), Scale(0, "down_proj"));
    }

    [Fact]
    public void A_range_changes_the_scales_and_nothing_else()
    {
        var statistics = Calibrate("stats.safetensors");
        Weights("max", "--format", "fp8", "--stats", statistics);
        Weights("percentile", "--format", "fp8", "--range", "percentile:99", "--stats", statistics);
        using var max = SafetensorsFile.Open(folder.In("max/model.safetensors"));
        using var percentile = SafetensorsFile.Open(folder.In("percentile/model.safetensors"));
        var changed = max.Tensors.Where(tensor => Fingerprint.Of(max.Load(tensor.Name)) != Fingerprint.Of(percentile.Load(tensor.Name))).ToList();
        Assert.Equal(28, changed.Count);
        Assert.All(changed, tensor => Assert.EndsWith(".input_scale", tensor.Name, StringComparison.Ordinal));
        Assert.All(changed, tensor => Assert.True(
            percentile.Load(tensor.Name).Span<float>()[0] < max.Load(tensor.Name).Span<float>()[0], tensor.Name));
    }

    [Fact]
    public void Shards_merge_to_the_whole()
    {
        string[] everything = ["--statistics", "channels,headroom,histogram,blocks,awq,moments,rows"];
        var whole = Calibrate("whole", [.. everything, "--calibration", Lines("all", 0..4)]);
        var parts = new[] { ("a", 0..2), ("b", 2..4) }
            .Select(part => Calibrate(part.Item1, [.. everything, "--calibration", Lines("part" + part.Item1, part.Item2)])).ToArray();
        CommandRun.Good(["stats", "merge", .. parts, "-o", folder.In("merged")]);

        using SafetensorsFile expected = SafetensorsFile.Open(whole), merged = SafetensorsFile.Open(folder.In("merged"));
        Assert.Equal(expected.Tensors.Select(tensor => tensor.Name).Order(), merged.Tensors.Select(tensor => tensor.Name).Order());
        var kinds = new Dictionary<string, int>();
        foreach (var name in expected.Tensors.Select(tensor => tensor.Name))
            kinds[Compare(name, expected.Load(name), merged.Load(name))] = 1;
        Assert.Equal(["exact", "histogram", "order", "sum"], kinds.Keys.Order());

        foreach (string[] recipe in (string[][])[["--format", "fp8", "--kv", "fp8"], ["--format", "nvfp4", "--range", "headroom"]])
            Assert.Equal(Weights($"whole-{recipe[1]}", [.. recipe, "--stats", whole]), Weights($"merged-{recipe[1]}", [.. recipe, "--stats", folder.In("merged")]));
        var shown = CommandRun.Good("stats", "show", folder.In("merged"), "--json").Json();
        Assert.Equal(2, shown.GetProperty("shards").GetArrayLength());
    }

    /// <summary>Sums of products in F32, of the largest: 5e-7 measured.</summary>
    const double Sums = 5e-6;

    /// <summary>What a tensor is compared as: exactly, up to the rounding of sums, by its total, or not at all.</summary>
    static string Compare(string name, Tensor expected, Tensor merged)
    {
        if (name.EndsWith("/rows", StringComparison.Ordinal) || name.EndsWith("running_amax", StringComparison.Ordinal))
            return "order"; // a spread of the rows; a maximum that depends on what came before
        if (name.Contains("/histogram/", StringComparison.Ordinal))
        {
            if (name.EndsWith("counts", StringComparison.Ordinal))
                Assert.Equal(expected.Span<long>().ToArray().Sum(), merged.Span<long>().ToArray().Sum());
            return "histogram"; // bins are as wide as the first sample asks for
        }
        Assert.Equal(expected.Shape, merged.Shape);
        if (name.Contains("moments", StringComparison.Ordinal) && expected.DType == DType.F32)
            Close.Scaled([.. expected.Span<float>().ToArray().Select(value => (double)value)], merged.Span<float>(), Sums, name);
        else if (expected.DType == DType.F64)
            Close.Scaled(expected.Span<double>(), [.. merged.Span<double>().ToArray().Select(value => (float)value)], Sums, name);
        else
        {
            Assert.True(Fingerprint.Of(expected) == Fingerprint.Of(merged), name);
            return "exact";
        }
        return "sum";
    }

    [Fact]
    public void What_cannot_be_merged_is_named()
    {
        var one = Calibrate("one", "--calibration", Lines("a", 0..1));
        var other = Calibrate("other", "--statistics", "amax", "--calibration", Lines("b", 1..2));
        Models.WriteVision(folder.In("model"), tensors => tensors["model.norm.weight"] = Tensor.Zeros(new Shape(256), DType.BF16));
        CommandRun.Good("calibrate", folder.In("model"), "--samples", "1", "-o", folder.In("model.stats"));
        void Refused(int code, string[] words, params string[] files) =>
            CommandRun.Refused(code, words, ["stats", "merge", .. files, "-o", folder.In("merged")]);
        Refused(ExitCode.BadInput, ["one", "other", "visual.blocks.0.attn.qkv", "channels"], one, other);
        Refused(ExitCode.BadInput, ["same data would count twice"], one, one);
        Refused(ExitCode.BadInput, ["cannot be merged", "weights is"], one, folder.In("model.stats"));
        Refused(ExitCode.BadInput, ["no statistics"], one, Path.Combine(Models.Vision, "model.safetensors"));
        Refused(ExitCode.Usage, ["Required argument"], one);
        Assert.False(File.Exists(folder.In("merged")));
    }

    [Fact]
    public void Statistics_that_do_not_do_are_named_before_anything_is_written()
    {
        var amax = Calibrate("amax", "--statistics", "amax");
        void Refused(int code, string[] words, string model, params string[] recipe)
        {
            foreach (var verb in (string[])["plan", "quantize"])
                CommandRun.Refused(code, words, [verb, model, .. recipe, "-o", folder.In("out")]);
            Assert.False(Directory.Exists(folder.In("out")));
        }
        Refused(ExitCode.BadInput, ["model.layers.0.self_attn.q_proj", "histogram"], Models.Vision, "--format", "fp8", "--range", "mse", "--stats", amax);
        Refused(ExitCode.BadInput, ["model.layers.0.self_attn.q_proj", "awq"], Models.Vision, "--format", "nvfp4", "--algorithm", "awq", "--stats", amax);
        Refused(ExitCode.BadInput, ["gptaq", "--calibration"], Models.Vision, "--format", "int4", "--algorithm", "gptaq", "--exclude", "*down_proj", "--stats", amax);
        Refused(ExitCode.BadInput, ["another model", "model type"], Models.Text, "--format", "fp8", "--stats", amax);
        Refused(ExitCode.Usage, ["--stats", "no such file"], Models.Vision, "--format", "fp8", "--stats", folder.In("missing"));
        Refused(ExitCode.Usage, ["--samples", "--stats", "exclude"], Models.Vision, "--format", "fp8", "--stats", amax, "--samples", "2");
        Refused(ExitCode.Usage, ["--range", "did you mean 'headroom'"], Models.Vision, "--format", "nvfp4", "--range", "headrom", "--stats", amax);
        Refused(ExitCode.BadInput, ["range headroom", "nvfp4"], Models.Vision, "--format", "fp8", "--range", "headroom");
        Refused(ExitCode.BadInput, ["range mse", "static activation scales"], Models.Vision, "--format", "int8_wo", "--range", "mse");
    }

    [Fact]
    public void Modules_without_tokens_are_listed_and_take_the_range_of_the_format()
    {
        File.WriteAllText(folder.In("text.jsonl"), """{"text": "Tom draws a cyan ring."}""");
        string[] data = ["--calibration", folder.In("text.jsonl")];
        var calibrated = CommandRun.Good(["calibrate", Models.Vision, .. data, "-o", folder.In("stats"), "--json"]).JsonLines()[^1];
        var unseen = calibrated.GetProperty("unseen").EnumerateArray().Select(module => module.GetString()!).ToList();
        Assert.Equal(4 * 5 + 2, unseen.Count);
        Assert.All(unseen, module => Assert.StartsWith("visual.", module, StringComparison.Ordinal));
        foreach (string[] source in (string[][])[data, ["--stats", folder.In("stats")]])
        {
            var run = CommandRun.Good(["quantize", Models.Vision, "--format", "fp8", "--scope", "all", "-o", folder.In("out"), "--overwrite", .. source]);
            var warning = Assert.Single(run.Error.Split('\n'), line => line.StartsWith("warning: 22 modules saw no calibration token", StringComparison.Ordinal));
            Assert.All(unseen, module => Assert.Contains(module, warning, StringComparison.Ordinal));
            using var written = SafetensorsFile.Open(folder.In("out/model.safetensors"));
            Assert.All(unseen, module => Assert.Equal(1f, written.Load(module + ".input_scale").Span<float>()[0]));
        }
    }

    [Fact]
    public void An_interrupted_run_is_not_continued_with_other_statistics()
    {
        string one = Calibrate("one"), other = Calibrate("other", "--calibration", Lines("b", 1..3));
        string[] command = ["quantize", Models.Vision, "--format", "fp8", "-o", folder.In("out"), "--stats"];
        Assert.Equal(ExitCode.Cancelled, CommandRun.Of(new CancellationToken(true), [.. command, one]).Code);
        CommandRun.Refused(ExitCode.BadInput, ["cannot go on: data was '"], [.. command, other]);
        CommandRun.Good([.. command, one]);
    }

    [Fact]
    public void They_are_listed_with_tokens_of_both_kinds()
    {
        var shown = CommandRun.Good("stats", "show", Calibrate("stats", "--statistics", "channels"), "--json").Json();
        var groups = shown.GetProperty("groups").EnumerateArray().ToList();
        Assert.Equal(4 * 4 + 2 + 4 * 4 + 1, groups.Count);
        var attention = groups.Single(group => group.GetProperty("modules")[0].GetString() == "model.layers.3.self_attn.q_proj");
        Assert.Equal(3, attention.GetProperty("modules").GetArrayLength());
        Assert.True(attention.GetProperty("text_tokens").GetInt64() > 0 && attention.GetProperty("vision_tokens").GetInt64() > 0);
        Assert.NotEqual(attention.GetProperty("text_amax").GetSingle(), attention.GetProperty("vision_amax").GetSingle());
        foreach (var field in (string[])["text_tokens", "vision_tokens"]) // of the language model, not of the tower, which sees patches
            Assert.Equal(attention.GetProperty(field).GetInt64(), shown.GetProperty("shards")[0].GetProperty(field).GetInt64());
        Assert.Equal(["amax", "channels"], attention.GetProperty("statistics").EnumerateArray().Select(name => name.GetString()!));
        Assert.Equal(4, shown.GetProperty("caches").GetArrayLength());
        var table = CommandRun.Good("stats", "show", folder.In("stats")).Output;
        Assert.Contains("model.layers.3.self_attn.q_proj +2", table, StringComparison.Ordinal);
    }

    [Fact]
    public void What_statistics_cannot_serve_is_refused_before_the_model_runs()
    {
        using var folder = new TemporaryFolder();
        CommandRun.Refused(ExitCode.Usage, ["best", "statistics are not enough"],
            "calibrate", Models.Vision, "--for", "int4:best", "-o", folder.In("stats.safetensors"));
        CommandRun.Refused(ExitCode.Usage, ["int4_awq", "int4 expected"],
            "auto", Models.Vision, "--formats", "int4_awq,fp8", "--effective-bits", "6", "-o", folder.In("out"));
    }

    [Fact]
    public void A_calibration_continues_where_it_was_stopped()
    {
        string[] command = ["calibrate", Models.Vision, "--samples", $"{Samples}", "-o", folder.In("stats"), "--json"];
        var whole = File.ReadAllBytes(Calibrate("whole"));
        Assert.Equal(ExitCode.Cancelled, CommandRun.Of(new CancellationToken(true), command).Code);
        Assert.False(File.Exists(folder.In("stats")));
        var stopped = CommandRun.Of(new CancelledAfter(folder.In("stats.parts"), 4).Token, command);
        Assert.Equal(ExitCode.Cancelled, stopped.Code);
        Assert.Contains("The same command continues the run.", stopped.Error, StringComparison.Ordinal);
        var parts = Directory.GetFiles(folder.In("stats.parts"), "*.safetensors");
        Assert.NotEmpty(parts);
        var written = File.GetLastWriteTimeUtc(parts.Order().First());

        CommandRun.Refused(ExitCode.Usage, ["another model, other data or other statistics"], [.. command, "--statistics", "amax"]);
        Assert.Equal(written, File.GetLastWriteTimeUtc(parts.Order().First()));
        Assert.Equal(ExitCode.Cancelled, CommandRun.Of(new CancelledAfter(folder.In("stats.parts"), parts.Length + 1).Token, command).Code);
        Assert.Equal(written, File.GetLastWriteTimeUtc(parts.Order().First())); // what was there is not gathered again
        CommandRun.Good(command);
        Assert.Equal(whole, File.ReadAllBytes(folder.In("stats")));
        Assert.False(Directory.Exists(folder.In("stats.parts")));
        CommandRun.Refused(ExitCode.Usage, ["exists already", "--overwrite"], command);
        CommandRun.Good([.. command, "--overwrite"]);
    }

    [Theory]
    [InlineData("--for", "nvfp5", "'nvfp4'")]
    [InlineData("--for", "int4:awk", "'awq'")]
    [InlineData("--statistics", "histogramm", "'histogram'")]
    [InlineData("--recipe", "missing.yaml", "missing.yaml")]
    [InlineData("--calibration", "missing.jsonl", "missing.jsonl")]
    [InlineData("--samples", "0", "--samples")]
    public void Wrong_words_are_refused_before_anything_is_written(string option, string value, string told)
    {
        CommandRun.Refused(ExitCode.Usage, [option, told], "calibrate", Models.Vision, "-o", folder.In("stats"), option, value);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    /// <summary>Cancels when so many stages are on disk.</summary>
    sealed class CancelledAfter
    {
        readonly CancellationTokenSource source = new();

        public CancelledAfter(string folder, int stages) => _ = Task.Run(() =>
        {
            while (!Directory.Exists(folder) || Directory.GetFiles(folder, "*.safetensors").Length < stages)
                Thread.Sleep(1);
            source.Cancel();
        });

        public CancellationToken Token => source.Token;
    }
}
