using System.Collections.Frozen;
using System.Text;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>Upper, lower, title and folded case as Python's strings have them: full mappings, no culture.</summary>
static class CaseMapping
{
    const int Sigma = 0x3A3, FinalSigma = 0x3C2, DottedI = 0x130, DotlessI = 0x131, LongS = 0x17F, SharpS = 0x1E9E;

    static readonly FrozenDictionary<int, string> UpperTable = Table(CaseTable.Upper);
    static readonly FrozenDictionary<int, string> TitleTable = Table(CaseTable.Title);
    static readonly FrozenDictionary<int, string> FoldTable = Table(CaseTable.Fold);

    public static string Upper(string text) => Ascii.IsValid(text) ? text.ToUpperInvariant() : Map(text, Upper);

    public static string Lower(string text)
    {
        if (Ascii.IsValid(text))
            return text.ToLowerInvariant();
        Rune[] runes = [.. text.EnumerateRunes()];
        var result = new StringBuilder(text.Length);
        for (var i = 0; i < runes.Length; i++)
            result.Append(runes[i].Value == Sigma && EndsWord(runes, i) ? ((char)FinalSigma).ToString() : Lower(runes[i]));
        return result.ToString();
    }

    public static string Fold(string text) => Ascii.IsValid(text) ? text.ToLowerInvariant() : Map(text, Fold);

    /// <summary>First letter in title case, the rest lower.</summary>
    public static string Capitalize(string text)
    {
        if (text.Length == 0)
            return text;
        var first = text.EnumerateRunes().First();
        return Title(first) + Lower(text)[Lower(first).Length..];
    }

    /// <summary>A letter after a letter is lower case, any other title case.</summary>
    public static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        var inWord = false;
        foreach (var rune in text.EnumerateRunes())
        {
            result.Append(inWord ? Lower(rune) : Title(rune));
            inWord = CharacterClass.IsCased(rune);
        }

        return result.ToString();
    }

    public static string Swap(string text) => Map(text, rune =>
        CharacterClass.IsUpper(rune) ? Lower(rune) : CharacterClass.IsLower(rune) ? Upper(rune) : rune.ToString());

    static string Upper(Rune rune) => rune.Value switch
    {
        DotlessI => "I", // .NET leaves letters whose capital is ASCII alone
        LongS => "S",
        _ => UpperTable.TryGetValue(rune.Value, out var special) ? special : Rune.ToUpperInvariant(rune).ToString(),
    };

    static string Lower(Rune rune) => rune.Value switch
    {
        DottedI => "i\u0307",
        0x212A => "k", // the signs kelvin and ångström
        0x212B => "å",
        _ => Rune.ToLowerInvariant(rune).ToString(),
    };

    static string Title(Rune rune) => TitleTable.TryGetValue(rune.Value, out var special) ? special
        : rune.Value is >= 0x10D0 and <= 0x10FF ? rune.ToString()
        : Upper(rune);

    static string Fold(Rune rune)
    {
        if (rune.Value == SharpS)
            return "ss";
        if (FoldTable.TryGetValue(rune.Value, out var special))
            return special;
        if (UpperTable.TryGetValue(rune.Value, out var capitals))
            return Map(capitals, Lower);
        return rune.Value is >= 0x13A0 and <= 0x13FF or >= 0xAB70 and <= 0xABBF ? Upper(rune) : Lower(rune);
    }

    static bool EndsWord(Rune[] runes, int at)
    {
        var before = at - 1;
        while (before >= 0 && CharacterClass.IsCaseIgnorable(runes[before]))
            before--;
        var after = at + 1;
        while (after < runes.Length && CharacterClass.IsCaseIgnorable(runes[after]))
            after++;
        return before >= 0 && CharacterClass.IsCased(runes[before])
            && !(after < runes.Length && CharacterClass.IsCased(runes[after]));
    }

    static string Map(string text, Func<Rune, string> map)
    {
        var result = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
            result.Append(map(rune));
        return result.ToString();
    }

    static FrozenDictionary<int, string> Table(string entries) => entries.Split(' ').ToFrozenDictionary(
        entry => (int)entry[0], entry => entry[1..]);
}
