using System.Globalization;
using System.Text;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>Python's classes of code points.</summary>
static class CharacterClass
{
    /// <summary>Unicode 14, Other_Uppercase: Roman numerals and letters in circles and squares; first and last of each
    /// range.</summary>
    static readonly int[] OtherUppercase =
        [0x2160, 0x216F, 0x24B6, 0x24CF, 0x1F130, 0x1F149, 0x1F150, 0x1F169, 0x1F170, 0x1F189];

    /// <summary>Unicode 14, Other_Lowercase: ordinals, modifier letters, Roman numerals, letters in circles.</summary>
    static readonly int[] OtherLowercase =
    [
        0xAA, 0xAA, 0xBA, 0xBA, 0x2B0, 0x2B8, 0x2C0, 0x2C1, 0x2E0, 0x2E4, 0x345, 0x345, 0x37A, 0x37A, 0x1D2C, 0x1D6A,
        0x1D78, 0x1D78, 0x1D9B, 0x1DBF, 0x2071, 0x2071, 0x207F, 0x207F, 0x2090, 0x209C, 0x2170, 0x217F, 0x24D0, 0x24E9,
        0x2C7C, 0x2C7D, 0xA69C, 0xA69D, 0xA770, 0xA770, 0xA7F8, 0xA7F9, 0xAB5C, 0xAB5F, 0x10780, 0x10780, 0x10783, 0x10785,
        0x10787, 0x107B0, 0x107B2, 0x107BA,
    ];

    /// <summary>Shown as itself by repr(): not a control, format, surrogate, private, unassigned or separating
    /// character.</summary>
    public static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
        or UnicodeCategory.SpaceSeparator);

    public static bool IsUpper(Rune rune) =>
        Rune.GetUnicodeCategory(rune) == UnicodeCategory.UppercaseLetter || IsAmong(OtherUppercase, rune);

    public static bool IsLower(Rune rune) =>
        Rune.GetUnicodeCategory(rune) == UnicodeCategory.LowercaseLetter || IsAmong(OtherLowercase, rune);

    public static bool IsTitle(Rune rune) => Rune.GetUnicodeCategory(rune) == UnicodeCategory.TitlecaseLetter;
    public static bool IsCased(Rune rune) => IsUpper(rune) || IsLower(rune) || IsTitle(rune);
    public static bool IsDecimal(Rune rune) => Rune.GetUnicodeCategory(rune) == UnicodeCategory.DecimalDigitNumber;

    /// <summary>Also superscripts and circled digits.</summary>
    public static bool IsDigit(Rune rune) => IsDecimal(rune)
        || Rune.GetUnicodeCategory(rune) == UnicodeCategory.OtherNumber && IsWholeDigit(Rune.GetNumericValue(rune));

    public static bool IsNumeric(Rune rune) => Rune.GetNumericValue(rune) != -1;
    public static bool IsAlpha(Rune rune) => Rune.IsLetter(rune);
    public static bool IsAlphanumeric(Rune rune) => Rune.IsLetter(rune) || IsNumeric(rune);
    public static bool IsSpace(Rune rune) => rune.IsBmp && Whitespace.Is((char)rune.Value);

    /// <summary>What the regular expression class \w matches.</summary>
    public static bool IsWord(Rune rune) => rune.Value == '_' || IsAlphanumeric(rune);

    /// <summary>Skipped when the neighbours of a sigma are looked at (Unicode, Case_Ignorable).</summary>
    public static bool IsCaseIgnorable(Rune rune) => rune.Value is '\'' or '.' or ':' or '^' or '`' or 0xAD or 0xB7 or 0x2019
        || Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark
            or UnicodeCategory.Format or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;

    static bool IsAmong(int[] ranges, Rune rune)
    {
        for (var i = 0; i < ranges.Length && rune.Value >= ranges[i]; i += 2)
            if (rune.Value <= ranges[i + 1])
                return true;
        return false;
    }

    static bool IsWholeDigit(double value) => value is >= 0 and <= 9 && double.IsInteger(value);
}
