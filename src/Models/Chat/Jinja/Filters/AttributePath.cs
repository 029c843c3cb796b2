using Nibble.Models.Chat.Jinja.Values;

namespace Nibble.Models.Chat.Jinja.Filters;

/// <summary>The keys of <c>attribute='a.b.0'</c>.</summary>
static class AttributePath
{
    public static IReadOnlyList<Value> Parse(Value attribute) => attribute is Text text
        ? [.. text.Value.Split('.').Select(Key)]
        : [attribute];

    static Value Key(string part) =>
        part.Length is > 0 and < 10 && part.All(char.IsAsciiDigit) ? new Integer(int.Parse(part)) : new Text(part);
}
