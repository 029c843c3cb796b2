using System.Text;
using System.Text.Json;
using Nibble.Models;
using Nibble.Models.Chat;

namespace Nibble.Tests.Models.Chat;

public class TokenizerConfigTests
{
    const string Tokens = """ "bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null """;
    const string Print = "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}";

    static readonly ChatMessage[] Hello = [new("user", "Hello")];

    [Fact]
    public void The_file_beside_the_model_wins_and_tokens_come_from_the_configuration()
    {
        var template = Load("file " + Print, $$"""{ {{Tokens}}, "chat_template": "field" }""")!;
        Assert.Equal("file <s>|</s>|", template.Render(Hello));
    }

    [Fact]
    public void Without_a_file_the_field_is_the_template() =>
        Assert.Equal("field <s>|</s>|", Load(null, $$"""{ {{Tokens}}, "chat_template": "field {{Print}}" }""")!.Render(Hello));

    [Fact]
    public void Of_a_list_tools_choose()
    {
        var template = Load(null, """
            { "chat_template": [
                {"name": "default", "template": "plain"},
                {"name": "tool_use", "template": "tools {{ tools[0].function.name }}"} ] }
            """)!;
        Assert.Equal("plain", template.Render(Hello));
        Assert.Equal("tools get_weather", template.Render(Hello, new() { Tools = ChatFixtures.Tools }));

        template = Load(null, """{ "chat_template": [ {"name": "default", "template": "plain {{ tools is none }}"} ] }""")!;
        Assert.Equal("plain True", template.Render(Hello));
        Assert.Equal("plain False", template.Render(Hello, new() { Tools = ChatFixtures.Tools }));

        template = Load(null, """{ "chat_template": [ {"name": "tool_use", "template": "tools"} ] }""")!;
        Assert.Contains("default", Assert.Throws<ModelException>(() => template.Render(Hello)).Message);
    }

    [Fact]
    public void Options_replace_tokens() =>
        Assert.Equal("A|B|", Load(Print, $$"""{ {{Tokens}} }""")!.Render(Hello, new() { BosToken = "A", EosToken = "B" }));

    [Theory]
    [InlineData("{}")]
    [InlineData("")]
    [InlineData("""{ "chat_template": null }""")]
    public void A_checkpoint_may_have_no_template(string json) => Assert.Null(Load(null, json));

    [Fact]
    public void Without_a_configuration_no_token_is_defined() => Assert.Equal("||", Load(Print, "")!.Render(Hello));

    [Theory]
    [InlineData("[]", "object")]
    [InlineData("{", "tokenizer_config.json")]
    [InlineData("{} {}", "tokenizer_config.json")]
    [InlineData("""{ "chat_template": 5 }""", "chat_template")]
    [InlineData("""{ "chat_template": [] }""", "default")]
    [InlineData("""{ "chat_template": [ {"name": "rag", "template": "x"} ] }""", "\"rag\"")]
    [InlineData("""{ "chat_template": [ {"template": "x"} ] }""", "name")]
    [InlineData("""{ "chat_template": [ 5 ] }""", "name")]
    [InlineData("""{ "chat_template": "{% if %}" }""", "line 1")]
    [InlineData("""{ "chat_template": "a\ud83d" }""", "text")]
    [InlineData("""{ "chat_template": "a", "bos_token": 7 }""", "bos_token")]
    [InlineData("""{ "chat_template": "a", "bos_token": {"content": 7} }""", "bos_token")]
    public void A_malformed_configuration_is_one_clear_error(string json, string named)
    {
        var error = Assert.Throws<ModelException>(() => Load(null, json));
        Assert.StartsWith("model/tokenizer_config.json", error.Message);
        Assert.Contains(named, error.Message);
    }

    [Fact]
    public void A_syntax_error_in_the_file_names_the_file() => Assert.StartsWith("model/chat_template.jinja, line 2: ",
        Assert.Throws<ModelException>(() => Load("a\n{% fi %}", "{}")).Message);

    static ChatTemplate? Load(string? file, string json) => ChatTemplate.FromConfig(file, Encoding.UTF8.GetBytes(json), "model");
}
