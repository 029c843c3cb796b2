using System.Text.Json;
using Nibble.Cli;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>Calibration data in every shape a user may have it.</summary>
public sealed class CalibrationFilesTests : IDisposable
{
    readonly TemporaryFolder folder = new();

    public void Dispose() => folder.Dispose();

    JsonElement Report(string model, string data, params string[] more)
    {
        CommandRun.Good(["quantize", model, "--format", "fp8", "--calibration", data, "-o", folder.In("out"), "--overwrite", .. more]);
        return JsonDocument.Parse(File.ReadAllBytes(folder.In("out/report.json"))).RootElement;
    }

    void Refused(int code, string model, string data, params string[] told) => CommandRun.Refused(code, told,
        "quantize", model, "--format", "fp8", "--calibration", data, "-o", folder.In("out"));

    [Fact]
    public void A_folder_of_texts_and_pictures()
    {
        Directory.CreateDirectory(folder.In("data"));
        File.WriteAllText(folder.In("data/a.txt"), "Tom draws a cyan ring.");
        File.Copy(Path.Combine(Models.Vision, "eval/000.png"), folder.In("data/b.png"));
        File.WriteAllText(folder.In("data/ignored.dat"), "x");
        var report = Report(Models.Vision, folder.In("data"));
        Assert.Equal(2, report.GetProperty("samples").GetInt32());
        Assert.True(report.GetProperty("text_tokens").GetInt64() > 0);
        Assert.True(report.GetProperty("vision_tokens").GetInt64() > 0);
    }

    [Fact]
    public void Lines_of_text_questions_and_conversations()
    {
        File.Copy(Path.Combine(Models.Vision, "eval/001.png"), folder.In("p.png"));
        File.WriteAllLines(folder.In("data.jsonl"),
        [
            """{"text": "14 16 18 20"}""", "",
            """{"image": "p.png", "question": "what do you see?", "answer": "a ring"}""",
            """{"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]}], "images": ["p.png"]}""",
        ]);
        Assert.Equal(3, Report(Models.Vision, folder.In("data.jsonl")).GetProperty("samples").GetInt32());
        Assert.Equal(1, Report(Models.Vision, folder.In("data.jsonl"), "--samples", "1").GetProperty("samples").GetInt32());
    }

    [Fact]
    public void Every_list_of_a_folder()
    {
        Directory.CreateDirectory(folder.In("data"));
        File.WriteAllText(folder.In("data/b.jsonl"), """{"text": "14 16 18 20"}""");
        File.WriteAllLines(folder.In("data/a.jsonl"), ["""{"text": "Tom draws a ring."}""", """{"text": "20 18"}"""]);
        File.WriteAllText(folder.In("data/notes.txt"), "not a sample, for there are lists");
        Assert.Equal(3, Report(Models.Text, folder.In("data")).GetProperty("samples").GetInt32());
    }

    [Fact]
    public void Another_picture_is_other_data()
    {
        File.Copy(Path.Combine(Models.Vision, "eval/001.png"), folder.In("p.png"));
        File.WriteAllText(folder.In("data.jsonl"), """{"image": "p.png", "question": "what do you see?", "answer": "a ring"}""");
        string[] command = ["quantize", Models.Vision, "--format", "fp8", "--calibration", folder.In("data.jsonl"), "-o", folder.In("out")];
        Assert.Equal(ExitCode.Cancelled, CommandRun.Of(new CancellationToken(true), command).Code);
        File.Copy(Path.Combine(Models.Vision, "eval/002.png"), folder.In("p.png"), overwrite: true);
        CommandRun.Refused(ExitCode.BadInput, ["cannot go on: data was '"], command);
    }

    [Fact]
    public void Another_number_of_samples_is_other_data()
    {
        File.WriteAllLines(folder.In("data.jsonl"), ["""{"text": "14 16 18 20"}""", """{"text": "20 18"}"""]);
        string[] command = ["quantize", Models.Text, "--format", "fp8", "--calibration", folder.In("data.jsonl"), "-o", folder.In("out"), "--samples"];
        Assert.Equal(ExitCode.Cancelled, CommandRun.Of(new CancellationToken(true), [.. command, "1"]).Code);
        CommandRun.Refused(ExitCode.BadInput, ["cannot go on: data was '"], [.. command, "2"]);
    }

    [Fact]
    public void Tokens_as_tensors()
    {
        Models.WriteTensors(folder.In("tokens.safetensors"), new()
        {
            ["input_ids.0"] = Models.Integers([1, 2, 3, 4, 5, 6], 2, 3),
            ["input_ids.1"] = Models.Integers([7, 8], 1, 2),
        });
        var report = Report(Models.Text, folder.In("tokens.safetensors"));
        Assert.Equal(3, report.GetProperty("samples").GetInt32());
        Assert.Equal(8, report.GetProperty("text_tokens").GetInt64());
        report = Report(Models.Text, folder.In("tokens.safetensors"), "--samples", "2");
        Assert.Equal((2, 6), (report.GetProperty("samples").GetInt32(), report.GetProperty("text_tokens").GetInt64()));
    }

    [Theory]
    [InlineData(512)]
    [InlineData(-1)]
    [InlineData(1L << 40)]
    public void A_token_out_of_range_is_named(long token)
    {
        Models.WriteTensors(folder.In("tokens.safetensors"), new()
        {
            ["input_ids.0"] = Models.Integers([1, 2], 1, 2),
            ["input_ids.1"] = Models.Integers([3, 4, token], 1, 3),
        });
        Refused(ExitCode.BadInput, Models.Text, folder.In("tokens.safetensors"), "tokens.safetensors", "input_ids.1", "511", "position 2");
        Assert.False(Directory.Exists(folder.In("out")));
    }

    [Fact]
    public void Tensors_of_another_shape_are_refused()
    {
        Models.WriteTensors(folder.In("a.safetensors"), new() { ["input_ids.0"] = Models.Integers([1, 2], 2) });
        Refused(ExitCode.BadInput, Models.Text, folder.In("a.safetensors"), "a.safetensors", "input_ids.0", "[B, T]");
        Models.WriteTensors(folder.In("b.safetensors"), new() { ["ids"] = Models.Integers([1, 2], 1, 2) });
        Refused(ExitCode.BadInput, Models.Text, folder.In("b.safetensors"), "b.safetensors", "input_ids.0");
        Models.WriteTensors(folder.In("c.safetensors"), new()
        {
            ["input_ids.0"] = Models.Integers([508, 510, 509], 1, 3),
            ["pixel_values.0"] = Tensor.Zeros(4, 1176),
            ["image_grid_thw.0"] = Models.Integers([1, 4, 4], 1, 3),
        });
        Refused(ExitCode.BadInput, Models.Vision, folder.In("c.safetensors"), "c.safetensors", "image_grid_thw.0", "16 patches");
        Models.WriteTensors(folder.In("d.safetensors"), new()
        {
            ["input_ids.0"] = Models.Integers([508, 510, 510, 510, 510, 509], 1, 6),
            ["pixel_values.0"] = Tensor.Zeros(20, 1176),
            ["image_grid_thw.0"] = Models.Integers([1, 4, 4], 1, 3),
        });
        Refused(ExitCode.BadInput, Models.Vision, folder.In("d.safetensors"), "d.safetensors", "16 patches", "[20, 1176]");
    }

    [Theory]
    [InlineData("{\"text\": 5}", "line 1")]
    [InlineData("{\"text\": \"a\"}\n{\"nothing\": 1}", "line 2")]
    [InlineData("not json", "line 1")]
    [InlineData("[]", "line 1")]
    [InlineData("\n", "no entries")]
    [InlineData("{\"image\": \"gone.png\", \"question\": \"what?\"}", "gone.png")]
    public void A_bad_line_is_named(string content, string told)
    {
        File.WriteAllText(folder.In("data.jsonl"), content);
        Refused(ExitCode.BadInput, Models.Vision, folder.In("data.jsonl"), folder.In("data.jsonl"), told);
        Assert.False(Directory.Exists(folder.In("out"))); // before anything was written
    }

    [Fact]
    public void Missing_data_says_how_to_make_some()
    {
        Models.WriteVision(folder.In("model"));
        File.Delete(folder.In("model/calib.jsonl"));
        foreach (var verb in (string[])["plan", "quantize"])
            CommandRun.Refused(ExitCode.Usage, ["--calibration", "\"text\"", "\"image\"", "docs/calibration.md"],
                verb, folder.In("model"), "--format", "nvfp4", "-o", folder.In("out"));
        CommandRun.Good("quantize", folder.In("model"), "--format", "w4a16_nvfp4", "-o", folder.In("out"));
        Directory.CreateDirectory(folder.In("empty"));
        CommandRun.Refused(ExitCode.Usage, ["empty", ".jsonl"],
            "quantize", folder.In("model"), "--format", "fp8", "--calibration", folder.In("empty"), "-o", folder.In("out2"));
    }

    [Fact]
    public void Activations_wait_on_disk_when_there_is_no_budget()
    {
        var plenty = Report(Models.Vision, Path.Combine(Models.Vision, "calib.jsonl"), "--samples", "4");
        var bytes = File.ReadAllBytes(folder.In("out/model.safetensors"));
        Assert.Equal(0, plenty.GetProperty("spilled_bytes").GetInt64());
        Assert.True(plenty.GetProperty("peak_activation_bytes").GetInt64() > 0);
        var none = Report(Models.Vision, Path.Combine(Models.Vision, "calib.jsonl"), "--samples", "4", "--activation-budget", "0");
        Assert.True(none.GetProperty("spilled_bytes").GetInt64() > plenty.GetProperty("peak_activation_bytes").GetInt64());
        Assert.True(none.GetProperty("peak_activation_bytes").GetInt64() < plenty.GetProperty("peak_activation_bytes").GetInt64());
        Assert.Equal(bytes, File.ReadAllBytes(folder.In("out/model.safetensors")));
        Assert.False(Directory.Exists(folder.In("out/.nibble")));
    }
}
