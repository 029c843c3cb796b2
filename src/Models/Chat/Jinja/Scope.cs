using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja;

/// <summary>Names of one loop pass, macro or block; others are looked up further out, assignments stay here.</summary>
sealed class Scope(Scope? outer)
{
    readonly Dictionary<string, Value> values = [];

    public Value? Find(string name)
    {
        for (var scope = this; scope is not null; scope = scope.Outer)
            if (scope.values.TryGetValue(name, out var value))
                return value;
        return null;
    }

    public void Set(string name, Value value) => values[name] = value;

    Scope? Outer => outer;
}
