using System.Text.Json;
using Nibble.Models.Chat.Jinja;

namespace Nibble.Models.Chat;

/// <summary>What tokenizer_config.json says about chats.</summary>
static class TokenizerConfig
{
    const string FileName = "tokenizer_config.json";

    static readonly string[] TokenNames =
        ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    public static ChatTemplate? Read(string? jinjaFile, ReadOnlySpan<byte> json, string origin)
    {
        using var document = Open(json, origin);
        var root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object)
            throw new ModelException($"{origin}/{FileName}: expected an object, found {root.ValueKind}.");

        var tokens = Tokens(root, origin);
        if (jinjaFile is not null)
        {
            var template = JinjaTemplate.Parse(jinjaFile, $"{origin}/chat_template.jinja");
            return new(template, template, tokens);
        }

        if (!root.TryGetProperty("chat_template", out var field) || field.ValueKind == JsonValueKind.Null)
            return null;
        switch (field.ValueKind)
        {
            case JsonValueKind.String:
                var single = JinjaTemplate.Parse(Text(field, origin, "chat_template"), $"{origin}/{FileName}: chat_template");
                return new(single, single, tokens);
            case JsonValueKind.Array:
                var named = Named(field, origin);
                if (!named.ContainsKey("default") && !named.ContainsKey("tool_use"))
                    throw new ModelException($"{origin}/{FileName}: chat_template has neither \"default\" nor \"tool_use\", "
                        + $"but {string.Join(", ", named.Keys.Select(name => $"\"{name}\""))}.");
                return new(named.GetValueOrDefault("default"), named.GetValueOrDefault("tool_use"), tokens);
            default:
                throw new ModelException($"{origin}/{FileName}: chat_template is a string or a list, not {field.ValueKind}.");
        }
    }

    static JsonDocument Open(ReadOnlySpan<byte> json, string origin)
    {
        try
        {
            var reader = new Utf8JsonReader(json.IsEmpty ? "{}"u8 : json);
            var document = JsonDocument.ParseValue(ref reader);
            if (!reader.Read())
                return document;
            document.Dispose();
            throw new ModelException($"{origin}/{FileName}: something follows the JSON object.");
        }
        catch (JsonException broken)
        {
            throw new ModelException($"{origin}/{FileName}: {broken.Message}", broken);
        }
    }

    static Dictionary<string, JinjaTemplate> Named(JsonElement list, string origin)
    {
        var templates = new Dictionary<string, JinjaTemplate>();
        foreach (var item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object || !item.TryGetProperty("name", out var name)
                || !item.TryGetProperty("template", out var template))
                throw new ModelException($"{origin}/{FileName}: each chat_template of a list needs a name and a template.");
            var key = Text(name, origin, "chat_template.name");
            templates[key] = JinjaTemplate.Parse(Text(template, origin, "chat_template.template"),
                $"{origin}/{FileName}: chat_template \"{key}\"");
        }

        return templates;
    }

    /// <summary>Each special token that exists: a string, or an object with the string in <c>content</c>.</summary>
    static Dictionary<string, string> Tokens(JsonElement root, string origin)
    {
        var tokens = new Dictionary<string, string>();
        foreach (var name in TokenNames)
        {
            if (!root.TryGetProperty(name, out var token) || token.ValueKind == JsonValueKind.Null)
                continue;
            if (token.ValueKind == JsonValueKind.Object && token.TryGetProperty("content", out var content))
                token = content;
            tokens[name] = Text(token, origin, name);
        }

        return tokens;
    }

    static string Text(JsonElement element, string origin, string field)
    {
        if (element.ValueKind != JsonValueKind.String)
            throw new ModelException($"{origin}/{FileName}: {field} is a string, not {element.ValueKind}.");
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException broken) // invalid UTF-8, or half a surrogate pair
        {
            throw new ModelException($"{origin}/{FileName}: {field} is not valid text.", broken);
        }
    }
}
