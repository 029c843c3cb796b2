using System.Globalization;

namespace Nibble.Models.Tokenizer.Normalizers;

/// <summary>The tables of <see cref="NfcData"/>, ready for look-up.</summary>
sealed class NfcTable
{
    readonly Dictionary<int, (int First, int Second)> decompositions = new(2100); // Second is 0 for a single code point
    readonly Dictionary<(int, int), int> compositions = new(1000);
    readonly Dictionary<int, byte> classes = new(1000);
    readonly bool[] unsettled = new bool[0x30000]; // 192 KiB

    NfcTable()
    {
        ReadDecompositions();
        ReadClasses();
        unsettled.AsSpan(Hangul.VowelBase, Hangul.Vowels).Fill(true);
        unsettled.AsSpan(Hangul.TrailBase, Hangul.Trails).Fill(true);
    }

    public static NfcTable Shared { get; } = new();

    /// <summary>Whether a text with this code point may change: everything but NFC_QC=Yes with combining class 0.</summary>
    public bool MayChange(int point) => point < unsettled.Length && unsettled[point];

    public byte ClassOf(int point) => classes.GetValueOrDefault(point);

    public bool Decomposes(int point, out (int First, int Second) parts) => decompositions.TryGetValue(point, out parts);

    /// <summary>The code point a pair composes to, or 0.</summary>
    public int Compose(int first, int second)
    {
        var lead = first - Hangul.LeadBase;
        if ((uint)lead < Hangul.Leads && (uint)(second - Hangul.VowelBase) < Hangul.Vowels)
            return Hangul.SyllableBase + (lead * Hangul.Vowels + second - Hangul.VowelBase) * Hangul.Trails;
        var syllable = first - Hangul.SyllableBase;
        if ((uint)syllable < Hangul.Syllables && syllable % Hangul.Trails == 0
            && second > Hangul.TrailBase && second < Hangul.TrailBase + Hangul.Trails)
            return first + second - Hangul.TrailBase;
        return compositions.GetValueOrDefault((first, second));
    }

    void ReadDecompositions()
    {
        Span<int> parts = stackalloc int[3];
        foreach (var range in NfcData.Decompositions.Split((byte)';'))
        {
            var entry = NfcData.Decompositions[range].TrimStart(" \r\n"u8);
            if (entry.IsEmpty)
                continue;
            var excluded = entry[^1] == '!';
            var count = Numbers(entry.TrimEnd((byte)'!'), parts);
            decompositions[parts[0]] = (parts[1], count == 3 ? parts[2] : 0);
            if (count == 3 && !excluded)
            {
                compositions[(parts[1], parts[2])] = parts[0];
                unsettled[parts[2]] = true;
            }
            else
                unsettled[parts[0]] = true;
        }
    }

    void ReadClasses()
    {
        Span<int> ends = stackalloc int[2];
        foreach (var range in NfcData.CombiningClasses.Split((byte)';'))
        {
            var entry = NfcData.CombiningClasses[range].TrimStart(" \r\n"u8);
            if (entry.IsEmpty)
                continue;
            var space = entry.IndexOf((byte)' ');
            var combining = byte.Parse(entry[(space + 1)..], CultureInfo.InvariantCulture);
            var count = Numbers(entry[..space], ends);
            for (var point = ends[0]; point <= ends[count - 1]; point++)
            {
                classes[point] = combining;
                unsettled[point] = true;
            }
        }
    }

    static int Numbers(ReadOnlySpan<byte> text, Span<int> numbers)
    {
        var count = 0;
        foreach (var range in text.SplitAny(" -"u8))
            numbers[count++] = int.Parse(text[range], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        return count;
    }
}

/// <summary>The constants of The Unicode Standard, section 3.12.</summary>
static class Hangul
{
    public const int SyllableBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    public const int Leads = 19, Vowels = 21, Trails = 28, Syllables = Leads * Vowels * Trails;
}
