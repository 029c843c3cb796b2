using System.Globalization;

namespace Nibble.Models.Tokenizer;

/// <summary>The properties of code points that tokenizers ask for; unlike <see cref="char"/>, also beyond U+FFFF.</summary>
static class Unicode
{
    public const int LastPoint = 0x10FFFF;

    /// <summary>Category bits, indexed by <see cref="UnicodeCategory"/>.</summary>
    public const uint Letter = 0x1F, Mark = 0x7 << 5, Number = 0x7 << 8, Separator = 0x7 << 11, Other = 0xF << 14 | 1 << 29,
        Punctuation = 0x7F << 18, Symbol = 0xF << 25, DecimalDigit = 1 << 8;

    const uint Word = Letter | Mark | DecimalDigit | 1 << 9 | 1 << 18; // with Nl and Pc

    public static bool Is(int point, uint categories) => (categories >> (int)CharUnicodeInfo.GetUnicodeCategory(point) & 1) != 0;

    /// <summary>The White_Space property (PropList.txt).</summary>
    public static bool IsSpace(int point) => point is >= 9 and <= 13 or 0x85 || Is(point, Separator);

    /// <summary><c>\w</c> of UTS 18, annex C: alphabetic, marks, decimal digits, connectors, joiners.</summary>
    public static bool IsWord(int point) => Is(point, Word)
        || point is 0x200C or 0x200D
        || point is >= 0x24B6 and <= 0x24E9 // letters in circles and squares are alphabetic
        || point is >= 0x1F130 and <= 0x1F149 or >= 0x1F150 and <= 0x1F169 or >= 0x1F170 and <= 0x1F189;

    /// <summary>The Script property Han (Scripts.txt).</summary>
    public static bool IsHan(int point)
    {
        var at = Han.BinarySearch(point);
        return at >= 0 || (~at & 1) != 0; // between a first and its last
    }

    static ReadOnlySpan<int> Han =>
    [
        0x2E80, 0x2E99, 0x2E9B, 0x2EF3, 0x2F00, 0x2FD5, 0x3005, 0x3005, 0x3007, 0x3007, 0x3021, 0x3029, 0x3038, 0x303B,
        0x3400, 0x4DBF, 0x4E00, 0x9FFF, 0xF900, 0xFA6D, 0xFA70, 0xFAD9, 0x16FE2, 0x16FE3, 0x16FF0, 0x16FF1,
        0x20000, 0x2A6DF, 0x2A700, 0x2B739, 0x2B740, 0x2B81D, 0x2B820, 0x2CEA1, 0x2CEB0, 0x2EBE0, 0x2EBF0, 0x2EE5D,
        0x2F800, 0x2FA1D, 0x30000, 0x3134A, 0x31350, 0x323AF,
    ];
}
