using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Nibble.Models.Chat;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Chat;

public class SampleTemplateTests
{
    /// <summary>The token ids another framework fed to the sample model, read back as text, are its template's text.</summary>
    [Fact]
    public void The_sample_models_prompts_are_those_of_its_reference()
    {
        var folder = Repository.Path("samples/shapes-vlm");
        var template = ChatTemplate.FromConfig(
            File.ReadAllText(folder + "/chat_template.jinja"),
            File.ReadAllBytes(folder + "/tokenizer_config.json"),
            "shapes-vlm")!;
        var tokens = Tokens(folder);
        var samples = JsonDocument.Parse(File.ReadAllBytes(folder + "/reference.json")).RootElement.GetProperty("samples");

        foreach (var sample in samples.EnumerateArray())
        {
            var ids = sample.GetProperty("prompt_token_ids").EnumerateArray().Select(id => id.GetInt32());
            var read = Encoding.UTF8.GetString([.. ids.SelectMany(id => tokens[id])]);
            var expected = Regex.Replace(read, @"(<\|image_pad\|>)+", "<|image_pad|>");
            var question = sample.GetProperty("question").GetString()!;
            var message = sample.GetProperty("image").GetString() is { } image
                ? new ChatMessage("user", [ChatPart.OfImage(image), ChatPart.OfText(question)])
                : new ChatMessage("user", question);
            var rendered = template.Render([message], new() { AddGenerationPrompt = true });

            Assert.Equal(expected, rendered);
        }

        Assert.Equal(12, samples.GetArrayLength());
    }

    /// <summary>The bytes of each token: byte-level BPE writes a byte as a printable character.</summary>
    static Dictionary<int, byte[]> Tokens(string folder)
    {
        var bytes = new Dictionary<char, byte>();
        var next = 256;
        for (var value = 0; value < 256; value++)
            bytes[value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE ? (char)value : (char)next++] = (byte)value;

        var tokens = JsonDocument.Parse(File.ReadAllBytes(folder + "/vocab.json")).RootElement.EnumerateObject()
            .ToDictionary(token => token.Value.GetInt32(), token => token.Name.Select(c => bytes[c]).ToArray());
        var config = JsonDocument.Parse(File.ReadAllBytes(folder + "/tokenizer_config.json")).RootElement;
        foreach (var token in config.GetProperty("added_tokens_decoder").EnumerateObject())
            tokens[int.Parse(token.Name)] = Encoding.UTF8.GetBytes(token.Value.GetProperty("content").GetString()!);
        return tokens;
    }
}
