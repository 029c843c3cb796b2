using System.Text.Json;
using Nibble.Cli.Runs;
using Nibble.Models.Generation;
using Nibble.Quant.Calibration;
using Nibble.Tests.Support;

namespace Nibble.Tests.Cli;

/// <summary>From picture and question to text, with nothing recorded in between: what Transformers answered is what this engine answers.</summary>
public sealed class RecordedAnswersTests
{
    static readonly string Sample = Repository.Path("samples/shapes-vlm");

    [Fact]
    public void Every_recorded_answer_is_given_again()
    {
        using var folder = ModelFolder.Open(Sample);
        using var reference = JsonDocument.Parse(File.ReadAllBytes(folder.In("reference.json")));
        var generator = folder.Generator();
        foreach (var entry in reference.RootElement.GetProperty("samples").EnumerateArray())
        {
            var image = entry.GetProperty("image").GetString();
            var prompt = folder.Prompts.Question(entry.GetProperty("question").GetString()!, Pictures.Load(image is null ? [] : [image], Sample));
            Assert.Equal(Numbers(entry, "prompt_token_ids"), prompt.Ids);
            Assert.Equal(Numbers(entry, "generated_token_ids"),
                generator.Generate(prompt, new GenerationOptions { MaxNewTokens = 16, StopTokens = folder.StopTokens() }));
        }
        Assert.Equal(12, reference.RootElement.GetProperty("samples").GetArrayLength());
    }

    [Fact]
    public void The_command_streams_the_recorded_text()
    {
        using var reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Sample, "reference.json")));
        var entry = reference.RootElement.GetProperty("samples")[0];
        var run = CommandRun.Good("generate", Sample, "-p", entry.GetProperty("question").GetString()!,
            "--image", Path.Combine(Sample, entry.GetProperty("image").GetString()!));
        Assert.Equal(entry.GetProperty("generated_text").GetString(), run.Output.TrimEnd());
    }

    static int[] Numbers(JsonElement entry, string name) => [.. entry.GetProperty(name).EnumerateArray().Select(token => token.GetInt32())];
}
