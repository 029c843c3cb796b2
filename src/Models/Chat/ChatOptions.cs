using System.Text.Json;

namespace Nibble.Models.Chat;

/// <summary>What a template is given besides the messages.</summary>
public sealed record ChatOptions
{
    public static readonly ChatOptions Default = new();

    /// <summary>End with the beginning of the assistant's turn.</summary>
    public bool AddGenerationPrompt { get; init; }

    /// <summary>End inside the last message, so that the model goes on with it. Not together with
    /// <see cref="AddGenerationPrompt"/>.</summary>
    public bool ContinueFinalMessage { get; init; }

    /// <summary>An array of function schemas; null for none.</summary>
    public JsonElement? Tools { get; init; }

    /// <summary>An array of documents for retrieval; null for none.</summary>
    public JsonElement? Documents { get; init; }

    /// <summary>More variables, such as <c>enable_thinking</c>.</summary>
    public IReadOnlyDictionary<string, JsonElement> Variables { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>What <c>strftime_now</c> formats; null for the clock.</summary>
    public DateTime? Now { get; init; }

    /// <summary>Replaces the tokenizer's <c>bos_token</c>.</summary>
    public string? BosToken { get; init; }

    /// <summary>Replaces the tokenizer's <c>eos_token</c>.</summary>
    public string? EosToken { get; init; }
}
