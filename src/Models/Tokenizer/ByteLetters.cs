using System.Text;

namespace Nibble.Models.Tokenizer;

/// <summary>GPT-2's alphabet: each byte is one printable letter, so that no text has unknown characters.</summary>
/// <remarks>Printable Latin-1 bytes are themselves; the other 68 are, in order, the letters from U+0100 on.</remarks>
static class ByteLetters
{
    public const int Last = 0x143;

    static readonly int[] letters = Letters();
    static readonly short[] bytes = Bytes();

    /// <summary>Appends the letters of the UTF-8 bytes of a part of a text; each has the offsets of its code point.</summary>
    public static void Spell(Text text, int start, int end, Text into)
    {
        Span<byte> utf8 = stackalloc byte[4];
        for (var i = start; i < end; i++)
        {
            var point = text.Points[i];
            if (point < 0x80)
            {
                into.Add(letters[point], text, i);
                continue;
            }
            var length = new Rune(point).EncodeToUtf8(utf8);
            foreach (var one in utf8[..length])
                into.Add(letters[one], text, i);
        }
    }

    /// <summary>The bytes a token stands for: its own UTF-8 when it has any other character than these letters.</summary>
    public static byte[] BytesOf(string token)
    {
        var result = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            var value = token[i] <= Last ? bytes[token[i]] : (short)-1;
            if (value < 0)
                return System.Text.Encoding.UTF8.GetBytes(token);
            result[i] = (byte)value;
        }
        return result;
    }

    static bool IsItself(int value) => value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE and <= 0xFF;

    static int[] Letters()
    {
        var letters = new int[256];
        var next = 0x100;
        for (var value = 0; value < 256; value++)
            letters[value] = IsItself(value) ? value : next++;
        return letters;
    }

    static short[] Bytes()
    {
        var bytes = new short[Last + 1];
        Array.Fill(bytes, (short)-1);
        for (var value = 0; value < 256; value++)
            bytes[letters[value]] = (short)value;
        return bytes;
    }
}
