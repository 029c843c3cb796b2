using System.Text.Json;
using Nibble.Models;
using Nibble.Models.Chat;

namespace Nibble.Tests.Models.Chat;

public class ChatConversationTests
{
    /// <summary>A typed conversation and the recorded one in JSON give the same text, for every template that accepts
    /// it.</summary>
    [Fact]
    public void Typed_messages_are_the_recorded_json()
    {
        Compare("turns", new("user", "Hi"), new("assistant", " Hello Ada! "), new("user", "What is 2+2?"), new("assistant", "4."),
            new("user", "Merci — 谢谢 😀 <b>&amp;\"quoted\"</b>"));
        Compare("image_turns", new("system", [ChatPart.OfText("Look closely.")]),
            new("user", [ChatPart.OfText("First "), ChatPart.OfImage(), ChatPart.OfText(" then "), ChatPart.OfImage("a.png"),
                ChatPart.OfText(" compare. ")]),
            new("assistant", [ChatPart.OfText("Different.")]), new("user", [ChatPart.OfText("Sure?")]));
        Compare("bad_id", new("user", "a"),
            new("assistant", (string?)null) { ToolCalls = [new("short", "add", JsonDocument.Parse("{}").RootElement)] });
        Compare("two_calls", new("user", "Both"),
            new("assistant", "Calling.")
            {
                ToolCalls =
                [
                    new("aaaaaaaaa", "add", JsonDocument.Parse("""{"a":1,"b":2}""").RootElement),
                    new("bbbbbbbbb", "get_weather", JsonDocument.Parse("""{"city":"<東京>"}""").RootElement),
                ],
            },
            new("tool", "3") { ToolCallId = "aaaaaaaaa" }, new("tool", "sunny") { ToolCallId = "bbbbbbbbb" },
            new("assistant", "3 and sunny."));
        Compare("thinking", new("user", "What is 2+2?"), new("assistant", "<think>\nhmm, Ada\n\n</think>\n\n4."),
            new("user", "And?"), new("assistant", "\n\nDone.") { Reasoning = "\nlonger\n" });
    }

    [Theory]
    [InlineData("""{"role": "user"}""", "array")]
    [InlineData("[5]", "object")]
    [InlineData("""[{"role": "user", "content": "\ud83d"}]""", "surrogate")]
    [InlineData("""[{"role": "user", "content": 1e999}]""", null)]
    public void Json_that_is_no_conversation_is_refused(string json, string? because)
    {
        var thrown = Record.Exception(() => ChatConversation.Parse(JsonDocument.Parse(json).RootElement));
        if (because is null)
            Assert.Null(thrown);
        else
            Assert.Contains(because, Assert.IsType<ModelException>(thrown).Message);
    }

    [Fact]
    public void A_number_of_absurd_length_is_refused() => Assert.Contains("digits", Assert.Throws<ModelException>(() =>
        ChatConversation.Parse(JsonDocument.Parse($$"""[{"content": {{new string('9', 100_000)}}}]""").RootElement)).Message);

    static void Compare(string recorded, params ChatMessage[] messages)
    {
        var rendered = 0;
        foreach (var name in ChatFixtures.TemplateNames)
        {
            var template = ChatFixtures.Template(name);
            var options = new ChatOptions
            {
                AddGenerationPrompt = true,
                Now = ChatFixtures.Now,
                BosToken = "<s>",
                EosToken = "</s>",
            };
            var expected = Outcome(() => template.Render(ChatFixtures.Conversation(recorded), options).Text);
            Assert.Equal(expected, Outcome(() => template.Render(messages, options)));
            rendered += expected.StartsWith("text: ") ? 1 : 0;
        }

        Assert.True(rendered >= 5, $"{recorded}: {rendered}");
    }

    static string Outcome(Func<string> render)
    {
        try
        {
            return "text: " + render();
        }
        catch (ModelException error)
        {
            return error.Message;
        }
    }
}
