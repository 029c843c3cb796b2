using System.Globalization;
using System.Text.Json;
using Nibble.Models.Chat;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Chat;

/// <summary>What Transformers rendered; see tests/fixtures/chat/README.md.</summary>
static class ChatFixtures
{
    static readonly JsonElement Conversations = Read("conversations.json");

    public static DateTime Now { get; } =
        DateTime.Parse(Conversations.GetProperty("now").GetString()!, CultureInfo.InvariantCulture);

    public static JsonElement Tools => Conversations.GetProperty("tools");

    public static string[] TemplateNames { get; } =
    [
        .. Directory.GetFiles(Repository.Fixture("chat/templates"), "*.jinja").Select(Path.GetFileNameWithoutExtension).Order()!,
    ];

    public static JsonElement Read(string name) =>
        JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("chat/" + name))).RootElement;

    public static string Source(string template) => File.ReadAllText(Repository.Fixture($"chat/templates/{template}.jinja"));

    public static ChatTemplate Template(string name) => ChatTemplate.Parse(Source(name), name + ".jinja");

    public static ChatConversation Conversation(string name) =>
        ChatConversation.Parse(Conversations.GetProperty("conversations").GetProperty(name));

    /// <summary>The options of one recorded case.</summary>
    public static ChatOptions Options(JsonElement recorded)
    {
        var tokens = Conversations.GetProperty("tokens").GetProperty(recorded.GetProperty("template").GetString()!);
        return new()
        {
            AddGenerationPrompt = Flag(recorded, "add_generation_prompt"),
            ContinueFinalMessage = Flag(recorded, "continue_final_message"),
            Tools = Flag(recorded, "tools") ? Tools : null,
            Variables = recorded.TryGetProperty("kwargs", out var kwargs)
                ? kwargs.EnumerateObject().ToDictionary(property => property.Name, property => property.Value)
                : new Dictionary<string, JsonElement>(),
            Now = Now,
            BosToken = tokens.GetProperty("bos_token").GetString(),
            EosToken = tokens.GetProperty("eos_token").GetString(),
        };
    }

    static bool Flag(JsonElement recorded, string name) => recorded.TryGetProperty(name, out var flag) && flag.GetBoolean();
}
