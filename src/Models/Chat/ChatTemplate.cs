using System.Text.Json;
using Nibble.Models.Chat.Jinja;
using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat;

/// <summary>Turns messages into the text a model was trained on, by the checkpoint's own template.</summary>
/// <remarks>Behaves as <c>apply_chat_template</c> of Transformers 5. A template is code from a checkpoint: it is interpreted in a
/// sandbox with limits on time, memory and nesting. One parsed template may be used by several threads.</remarks>
public sealed class ChatTemplate
{
    readonly JinjaTemplate? plain, withTools;
    readonly IReadOnlyDictionary<string, string> tokens;

    internal ChatTemplate(JinjaTemplate? plain, JinjaTemplate? withTools, IReadOnlyDictionary<string, string> tokens) =>
        (this.plain, this.withTools, this.tokens) = (plain, withTools, tokens);

    /// <param name="source">The template's text.</param>
    /// <param name="origin">Its file, for messages.</param>
    /// <exception cref="ModelException">A syntax error: file, line and what was found.</exception>
    public static ChatTemplate Parse(string source, string origin)
    {
        var template = JinjaTemplate.Parse(source, origin);
        return new(template, template, new Dictionary<string, string>());
    }

    /// <summary>A checkpoint's template and special tokens.</summary>
    /// <remarks>chat_template.jinja wins. Else <c>chat_template</c> of tokenizer_config.json: a text, or a list of {name,
    /// template}, of which
    /// "tool_use" serves conversations with tools and "default" the others.</remarks>
    /// <param name="jinjaFile">The text of chat_template.jinja; null when there is none.</param>
    /// <param name="tokenizerConfigJson">The bytes of tokenizer_config.json; empty when there is none.</param>
    /// <param name="origin">The model's folder, for messages.</param>
    /// <returns>Null when the checkpoint has no template.</returns>
    /// <exception cref="ModelException">A file is malformed.</exception>
    public static ChatTemplate? FromConfig(string? jinjaFile, ReadOnlySpan<byte> tokenizerConfigJson, string origin) =>
        TokenizerConfig.Read(jinjaFile, tokenizerConfigJson, origin);

    /// <exception cref="ModelException">The template fails on this conversation, or refuses it with a message of its
    /// own.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, ChatOptions? options = null) =>
        Render(ChatConversation.From(messages), options).Text;

    /// <exception cref="ModelException">The template fails on this conversation, or refuses it with a message of its
    /// own.</exception>
    public ChatText Render(ChatConversation conversation, ChatOptions? options = null)
    {
        options ??= ChatOptions.Default;
        var template = (options.Tools is null ? plain : withTools ?? plain)
            ?? throw new ModelException(
                $"{withTools!.Origin}: this template is for conversations with tools, and no other is named \"default\".");
        if (options is { AddGenerationPrompt: true, ContinueFinalMessage: true })
            throw new ModelException(
                $"{template.Origin}: a conversation either continues its final message or opens a new one, not both.");

        var continued = options.ContinueFinalMessage ? ContinuedMessage.In(conversation.Messages, template) : null;
        var variables = Variables(continued?.Messages ?? conversation.Messages, options);
        var (text, generated) = template.Render(variables, options.Now ?? DateTime.Now);
        return continued is null ? new(text, generated) : continued.Cut(text, generated);
    }

    Dictionary<string, Value> Variables(ListValue messages, ChatOptions options)
    {
        var variables = tokens.ToDictionary(token => token.Key, token => (Value)new Text(token.Value));
        if (options.BosToken is not null)
            variables["bos_token"] = new Text(options.BosToken);
        if (options.EosToken is not null)
            variables["eos_token"] = new Text(options.EosToken);
        foreach (var (name, value) in options.Variables)
            variables[name] = ChatConversation.Read(value, $"the variable {name}");
        variables["messages"] = messages;
        variables["tools"] = Optional(options.Tools, "the tools");
        variables["documents"] = Optional(options.Documents, "the documents");
        variables["add_generation_prompt"] = Bool.Of(options.AddGenerationPrompt);
        return variables;
    }

    static Value Optional(JsonElement? element, string what) =>
        element is { } value ? ChatConversation.Read(value, what) : None.Value;
}
