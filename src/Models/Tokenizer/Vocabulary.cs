using System.Text.Json;

namespace Nibble.Models.Tokenizer;

/// <summary>Tokens and ids, one to one: those of the model and the added ones.</summary>
sealed class Vocabulary
{
    /// <summary>Sixteen times the largest published vocabulary; a bound on memory, because ids index arrays.</summary>
    const int LargestId = (1 << 22) - 1;

    readonly List<string?> tokens = [];

    public Dictionary<string, int> Ids { get; } = [];

    /// <summary>One more than the largest id.</summary>
    public int Size => tokens.Count;

    /// <summary>Null for an id no token has.</summary>
    public string? this[int id] => (uint)id < tokens.Count ? tokens[id] : null;

    /// <summary>The <c>vocab</c> of a model.</summary>
    public static Vocabulary Read(Field field)
    {
        if (field.Value.ValueKind != JsonValueKind.Object)
            throw field.Wrong("an object of tokens and ids");
        var vocabulary = new Vocabulary();
        foreach (var member in field.Value.EnumerateObject())
        {
            var name = NameOf(member, field);
            if (member.Value.ValueKind != JsonValueKind.Number || !member.Value.TryGetInt32(out var id))
                throw new Field(member.Value, $"{field.Place}[\"{name}\"]").Wrong("a token id");
            vocabulary.Add(name, id, field.Place);
        }
        return vocabulary;
    }

    /// <summary>Adds a token; the same token with the same id may come again if <paramref name="again"/>.</summary>
    public void Add(string token, int id, string place, bool again = false)
    {
        if (id is < 0 or > LargestId)
            throw new ModelException($"{place}: the token \"{token}\" has the id {id}; ids go from 0 to {LargestId}.");
        while (tokens.Count <= id)
            tokens.Add(null);
        if (again && tokens[id] == token)
            return;
        if (tokens[id] is { } other)
            throw new ModelException($"{place}: the tokens \"{other}\" and \"{token}\" have the same id {id}.");
        if (!Ids.TryAdd(token, id))
            throw new ModelException($"{place}: the token \"{token}\" has two ids, {Ids[token]} and {id}.");
        tokens[id] = token;
    }

    static string NameOf(JsonProperty member, Field field)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException e) // broken UTF-8, or half a surrogate pair
        {
            throw new ModelException($"{field.Place} has a token that is not valid Unicode text.", e);
        }
    }
}
