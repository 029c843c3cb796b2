using System.Globalization;
using System.Text;

namespace Nibble.Models.Chat.Jinja.Strings;

/// <summary>Python's classes of code points.</summary>
static class CharacterClass
{
    /// <summary>Shown as itself by repr(): not a control, format, surrogate, private, unassigned or separating character.</summary>
    public static bool IsPrintable(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator
        or UnicodeCategory.SpaceSeparator);

    public static bool IsUpper(Rune rune) => Rune.GetUnicodeCategory(rune) == UnicodeCategory.UppercaseLetter;
    public static bool IsLower(Rune rune) => Rune.GetUnicodeCategory(rune) == UnicodeCategory.LowercaseLetter;
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

    static bool IsWholeDigit(double value) => value is >= 0 and <= 9 && double.IsInteger(value);
}
