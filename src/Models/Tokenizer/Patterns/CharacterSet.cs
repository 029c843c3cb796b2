using System.Globalization;
using System.Text;

namespace Nibble.Models.Tokenizer.Patterns;

/// <summary>A set of code points, as a character class of a pattern describes it.</summary>
sealed class CharacterSet
{
    const int Listed = 1024; // below, membership is one bit; above, the description is asked

    readonly ulong[] bits = new ulong[Listed / 64];
    readonly Func<int, bool> holds;

    CharacterSet(Func<int, bool> holds)
    {
        this.holds = holds;
        for (var point = 0; point < Listed; point++)
            if (holds(point))
                bits[point >> 6] |= 1UL << point;
    }

    public bool Contains(int point) => (uint)point < Listed ? (bits[point >> 6] >> point & 1) != 0 : holds(point);

    public static CharacterSet All { get; } = new(_ => true);

    public static CharacterSet Newline { get; } = Range('\n', '\n');

    public static CharacterSet Space { get; } = new(Unicode.IsSpace);

    public static CharacterSet Word { get; } = new(Unicode.IsWord);

    public static CharacterSet Digit { get; } = Categories(Unicode.DecimalDigit);

    public static CharacterSet Hexadecimal { get; } = new(point => point < 128 && char.IsAsciiHexDigit((char)point));

    public static CharacterSet Range(int first, int last) => new(point => point >= first && point <= last);

    public static CharacterSet Categories(uint categories) => new(point => Unicode.Is(point, categories));

    public static CharacterSet Union(CharacterSet[] sets) => sets.Length == 1 ? sets[0] : new(point =>
    {
        foreach (var set in sets)
            if (set.Contains(point))
                return true;
        return false;
    });

    public CharacterSet Except() => new(point => !Contains(point));

    public CharacterSet And(CharacterSet other) => new(point => Contains(point) && other.Contains(point));

    /// <summary>Also what differs only by case, the simple Unicode foldings of long s and of the Kelvin sign included.</summary>
    public CharacterSet IgnoringCase() => new(point =>
    {
        if (Contains(point))
            return true;
        var rune = new Rune(point);
        return Contains(Rune.ToLowerInvariant(rune).Value) || Contains(Rune.ToUpperInvariant(rune).Value) || point switch
        {
            's' or 'S' => Contains(0x17F),
            'k' or 'K' => Contains(0x212A),
            0x17F => Contains('s') || Contains('S'),
            0x212A => Contains('k') || Contains('K'),
            _ => false,
        };
    });

    /// <summary>A general category by its one- or two-letter name, or the script Han; null for every other name.</summary>
    public static CharacterSet? Property(string name)
    {
        uint? categories = name.ToLowerInvariant() switch
        {
            "l" or "letter" => Unicode.Letter,
            "m" or "mark" => Unicode.Mark,
            "n" or "number" => Unicode.Number,
            "p" or "punctuation" => Unicode.Punctuation,
            "s" or "symbol" => Unicode.Symbol,
            "z" or "separator" => Unicode.Separator,
            "c" or "other" => Unicode.Other,
            var two => Array.IndexOf(Names, two) is >= 0 and var index ? 1u << index : null,
        };
        if (categories is { } mask)
            return Categories(mask);
        return name.Equals("han", StringComparison.OrdinalIgnoreCase) ? new CharacterSet(Unicode.IsHan) : null;
    }

    /// <summary>In the order of <see cref="UnicodeCategory"/>.</summary>
    static readonly string[] Names =
    [
        "lu", "ll", "lt", "lm", "lo", "mn", "mc", "me", "nd", "nl", "no", "zs", "zl", "zp", "cc", "cf", "cs", "co",
        "pc", "pd", "ps", "pe", "pi", "pf", "po", "sm", "sc", "sk", "so", "cn",
    ];
}
