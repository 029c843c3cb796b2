using System.Text.Json;
using Nibble.Models;
using Nibble.Models.Chat;

namespace Nibble.Tests.Models.Chat;

public class ChatTemplateTests
{
    static readonly JsonElement Recorded = ChatFixtures.Read("cases.json");

    public static TheoryData<string> Templates() => [.. ChatFixtures.TemplateNames];

    [Theory, MemberData(nameof(Templates))]
    public void Every_recorded_conversation_renders_as_in_transformers(string name)
    {
        var template = ChatFixtures.Template(name);
        var wrong = new List<string>();
        var count = 0;
        foreach (var recorded in Recorded.GetProperty("cases").EnumerateArray())
            if (recorded.GetProperty("template").GetString() == name)
            {
                count++;
                if (Difference(template, recorded) is { } difference)
                    wrong.Add(difference);
            }

        Assert.True(count >= 22, $"only {count} cases");
        Assert.True(wrong.Count == 0, $"{wrong.Count} of {count}:\n{string.Join("\n", wrong.Take(5))}");
    }

    [Fact]
    public void Generation_blocks_mark_what_the_model_writes()
    {
        foreach (var recorded in Recorded.GetProperty("generation_spans").EnumerateArray())
        {
            var text = recorded.GetProperty("text").GetString()!;
            var conversation = ChatFixtures.Conversation(recorded.GetProperty("conversation").GetString()!);
            var rendered = ChatFixtures.Template(recorded.GetProperty("template").GetString()!)
                .Render(conversation, ChatFixtures.Options(recorded));

            Assert.Equal(text, rendered.Text);
            Assert.Equal(
                recorded.GetProperty("spans").EnumerateArray().Select(span => (span[0].GetInt32(), span[1].GetInt32())),
                rendered.Generated.Select(span => (CodePoints(text, span.Start), CodePoints(text, span.Start + span.Length))));
        }
    }

    [Fact]
    public void A_final_message_that_is_continued_ends_its_generation_span()
    {
        var rendered = ChatFixtures.Template("generation").Render(
            ChatConversation.From([new("user", "Hi"), new("assistant", "It is")]),
            new() { ContinueFinalMessage = true, BosToken = "<s>", EosToken = "</s>" });

        Assert.Equal("[user]Hi\n[assistant]It is", rendered.Text);
        Assert.Equal([new TextSpan(20, 5)], rendered.Generated);
    }

    [Fact]
    public void Opening_a_turn_and_continuing_one_exclude_each_other()
    {
        var error = Assert.Throws<ModelException>(() => ChatFixtures.Template("chatml").Render(
            [new("user", "Hi")], new() { AddGenerationPrompt = true, ContinueFinalMessage = true }));
        Assert.Contains("chatml.jinja", error.Message);
    }

    [Fact]
    public void An_error_names_the_template_the_line_and_the_templates_own_words()
    {
        var refusing = ChatTemplate.Parse("{{ messages[0].role }}\n{{ raise_exception('no ' ~ 1) }}", "some/chat_template.jinja");
        var error = Assert.Throws<ModelException>(() => refusing.Render([new("user", "x")]));
        Assert.Equal("some/chat_template.jinja, line 2: no 1", error.Message);

        error = Assert.Throws<ModelException>(() => ChatTemplate.Parse("a\nb\n{% for x in y %}\n", "t.jinja"));
        Assert.Contains("t.jinja, line 3", error.Message);
        Assert.Contains("'endfor'", error.Message);
    }

    [Fact]
    public void One_template_serves_several_threads()
    {
        var template = ChatFixtures.Template("nasty");
        var conversation = ChatFixtures.Conversation("turns");
        var options = new ChatOptions { Now = ChatFixtures.Now };
        var expected = template.Render(conversation, options).Text;

        Parallel.For(0, 50, _ => Assert.Equal(expected, template.Render(conversation, options).Text));
    }

    static string? Difference(ChatTemplate template, JsonElement recorded)
    {
        var conversation = ChatFixtures.Conversation(recorded.GetProperty("conversation").GetString()!);
        var expected = recorded.TryGetProperty("text", out var text) ? text.GetString() : null;
        try
        {
            var actual = template.Render(conversation, ChatFixtures.Options(recorded)).Text;
            return actual == expected ? null : $"{recorded}\nrendered: {JsonEncodedText.Encode(actual)}";
        }
        catch (ModelException error)
        {
            if (expected is not null)
                return $"{recorded}\nfailed: {error.Message}";
            // Transformers' own errors are worded for Python callers; the template's and the language's are kept.
            return recorded.GetProperty("error").GetString() == "ValueError"
                || error.Message.EndsWith(recorded.GetProperty("message").GetString()!)
                ? null
                : $"{recorded}\nfailed otherwise: {error.Message}";
        }
    }

    static int CodePoints(string text, int units) => text[..units].EnumerateRunes().Count();
}
