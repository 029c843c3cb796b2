using System.Text.Json;

namespace Nibble.Models.Tokenizer;

/// <summary>A value of <c>tokenizer.json</c> together with its place, so that an error can name both.</summary>
readonly struct Field(JsonElement value, string place)
{
    public JsonElement Value => value;

    public string Place => place;

    /// <summary>The member of this name; null when it is absent or JSON null.</summary>
    public Field? Find(string name)
    {
        if (value.ValueKind != JsonValueKind.Object)
            throw Wrong("an object");
        if (!value.TryGetProperty(name, out var member) || member.ValueKind == JsonValueKind.Null)
            return null;
        return new Field(member, Below(name));
    }

    public Field this[string name] => Find(name) ?? throw new ModelException($"{Below(name)} is missing.");

    public string Text()
    {
        if (value.ValueKind != JsonValueKind.String)
            throw Wrong("a string");
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException e) // broken UTF-8, or half a surrogate pair
        {
            throw new ModelException($"{place} is not valid Unicode text.", e);
        }
    }

    public int Number() =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) ? number : throw Wrong("a 32-bit integer");

    public bool Flag(string name, bool otherwise) => Find(name) is not { } flag ? otherwise : flag.Flag();

    public IEnumerable<Field> Items()
    {
        if (value.ValueKind != JsonValueKind.Array)
            throw Wrong("an array");
        var index = 0;
        foreach (var item in value.EnumerateArray())
            yield return new Field(item, $"{place}[{index++}]");
    }

    /// <summary>An error that says what was expected here and what was found.</summary>
    public ModelException Wrong(string expected)
    {
        var found = value.ValueKind == JsonValueKind.Undefined ? "nothing" : value.GetRawText();
        return new ModelException($"{place} must be {expected}, found {(found.Length <= 60 ? found : found[..60] + "…")}.");
    }

    /// <summary>The error for a component that is well-formed but that this library does not have.</summary>
    public ModelException Unsupported(string kind, string name, string supported) =>
        new($"{place}: {kind} {name} is not supported; supported: {supported}.");

    /// <summary><c>file: a.b</c></summary>
    string Below(string name) => place.EndsWith(':') ? $"{place} {name}" : $"{place}.{name}";

    bool Flag() => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong("true or false"),
    };
}
