using System.Text.Json;
using Nibble.Models.Tokenizer;
using Nibble.Tests.Support;
using ByteLevelTokenizer = Nibble.Models.Tokenizer.Tokenizer;

namespace Nibble.Tests.Models.Tokenizer;

/// <summary>The recorded tokenizers and cases of <c>tests/fixtures/tokenizers</c>.</summary>
static class TokenizerFixtures
{
    static readonly string[] strings = [.. Json("strings.json").EnumerateArray().Select(item => item.GetString()!)];

    public static JsonElement Json(string path) => Json(File.ReadAllBytes(Repository.Fixture("tokenizers/" + path)));

    public static JsonElement Json(byte[] utf8) => JsonDocument.Parse(utf8).RootElement;

    public static Field Field(JsonElement value) => new(value, "test:");

    public static ByteLevelTokenizer Load(string style) =>
        ByteLevelTokenizer.Parse(File.ReadAllBytes(Repository.Fixture($"tokenizers/{style}/tokenizer.json")), style);

    /// <summary>One kind of the cases of a style; <c>added_tokens</c> has a bare array of <c>cases</c>.</summary>
    public static JsonElement[] Cases(string style, string kind)
    {
        var root = Json($"{style}/cases.json");
        if (root.ValueKind == JsonValueKind.Array)
            return kind == "cases" ? [.. root.EnumerateArray()] : [];
        return root.TryGetProperty(kind, out var cases) ? [.. cases.EnumerateArray()] : [];
    }

    public static string TextOf(JsonElement item) =>
        item.TryGetProperty("s", out var index) ? strings[index.GetInt32()] : item.GetProperty("text").GetString()!;

    public static int[] Ints(JsonElement item, string name) =>
        [.. item.GetProperty(name).EnumerateArray().Select(number => number.GetInt32())];

    public static string[] Strings(JsonElement item, string name) =>
        [.. item.GetProperty(name).EnumerateArray().Select(text => text.GetString()!)];

    public static string? Find(JsonElement item, string name) =>
        item.TryGetProperty(name, out var value) ? value.GetString() : null;
}
