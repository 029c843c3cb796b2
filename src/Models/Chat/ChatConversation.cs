using System.Text.Json;
using Nibble.Models.Chat.Jinja;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat;

/// <summary>Messages as templates see them.</summary>
public sealed class ChatConversation
{
    internal ChatConversation(ListValue messages) => Messages = messages;

    internal ListValue Messages { get; }

    public static ChatConversation From(IEnumerable<ChatMessage> messages) => new(new([.. messages.Select(Message)]));

    /// <param name="messages">An array of objects with whatever fields the template reads.</param>
    /// <exception cref="ModelException">It is something else.</exception>
    public static ChatConversation Parse(JsonElement messages)
    {
        if (messages.ValueKind != JsonValueKind.Array)
            throw new ModelException($"A conversation is an array of messages, not {messages.ValueKind}.");
        foreach (var message in messages.EnumerateArray())
            if (message.ValueKind != JsonValueKind.Object)
                throw new ModelException($"A message is an object, not {message.ValueKind}.");
        return new((ListValue)Read(messages, "the conversation"));
    }

    /// <summary>JSON as a template's value.</summary>
    internal static Value Read(JsonElement element, string what)
    {
        try
        {
            return JsonValues.Read(element);
        }
        catch (TemplateFault fault)
        {
            throw new ModelException($"{what}: {fault.Message}");
        }
    }

    static DictValue Message(ChatMessage message)
    {
        var fields = new List<(string, Value)> { ("role", new Text(message.Role)), ("content", Content(message)) };
        Add(fields, "reasoning_content", message.Reasoning);
        Add(fields, "tool_call_id", message.ToolCallId);
        Add(fields, "name", message.Name);
        if (message.ToolCalls.Count > 0)
            fields.Add(("tool_calls", new ListValue([.. message.ToolCalls.Select(Call)])));
        return Dict(fields);
    }

    static Value Content(ChatMessage message) => message switch
    {
        { Text: { } text } => new Text(text),
        { Parts: { } parts } => new ListValue([.. parts.Select(Part)]),
        _ => None.Value,
    };

    static DictValue Part(ChatPart part)
    {
        var fields = new List<(string, Value)> { ("type", new Text(part.Type)) };
        Add(fields, "text", part.Text);
        Add(fields, part.Type, part.Source);
        return Dict(fields);
    }

    static DictValue Call(ToolCall call) => Dict(
    [
        ("type", new Text("function")),
        ("id", new Text(call.Id)),
        ("function", Dict([("name", new Text(call.Name)), ("arguments", Read(call.Arguments, $"the arguments of {call.Name}"))])),
    ]);

    static void Add(List<(string, Value)> fields, string name, string? value)
    {
        if (value is not null)
            fields.Add((name, new Text(value)));
    }

    static DictValue Dict(IEnumerable<(string Name, Value Value)> fields) =>
        new(fields.Select(field => ((Value)new Text(field.Name), field.Value)), new Budget());
}
