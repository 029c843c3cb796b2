using System.Text.Json;

namespace Nibble.Models.Chat;

/// <summary>One message. Templates tell a plain text from a list of parts, so both exist.</summary>
public sealed record ChatMessage
{
    /// <param name="role">system, user, assistant, tool, or what the template knows.</param>
    /// <param name="text">Null for an assistant that only calls tools.</param>
    public ChatMessage(string role, string? text) => (Role, Text) = (role, text);

    /// <param name="role">system, user, assistant, tool, or what the template knows.</param>
    /// <param name="parts">Texts and images in the order in which they are shown.</param>
    public ChatMessage(string role, IReadOnlyList<ChatPart> parts) => (Role, Parts) = (role, parts);

    public string Role { get; }

    /// <summary>The content as one text; null when it is in <see cref="Parts"/>, or absent.</summary>
    public string? Text { get; }

    /// <summary>The content in parts; null when it is in <see cref="Text"/>, or absent.</summary>
    public IReadOnlyList<ChatPart>? Parts { get; }

    /// <summary>What an assistant asked for.</summary>
    public IReadOnlyList<ToolCall> ToolCalls { get; init; } = [];

    /// <summary>For role tool: the call this answers.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>For role tool: the function that answered.</summary>
    public string? Name { get; init; }

    /// <summary>The thoughts of an assistant, kept apart from its answer (<c>reasoning_content</c>).</summary>
    public string? Reasoning { get; init; }
}

/// <summary>A piece of a message's content.</summary>
/// <param name="Type">text, image, video, …</param>
/// <param name="Text">For type text.</param>
/// <param name="Source">Path or address of an image or video; null when it is supplied otherwise.</param>
public sealed record ChatPart(string Type, string? Text = null, string? Source = null)
{
    public static ChatPart OfText(string text) => new("text", Text: text);
    public static ChatPart OfImage(string? source = null) => new("image", Source: source);
}

/// <param name="Arguments">A JSON object.</param>
public sealed record ToolCall(string Id, string Name, JsonElement Arguments);
