using System.IO.Compression;

namespace Nibble.Models.Images.Png;

/// <summary>Compressed text chunks, whose only interest here is that one can be made to fill a memory.</summary>
static class PngText
{
    /// <summary>Bytes of the longest text that Pillow accepts.</summary>
    const int Longest = 1 << 20;

    /// <summary>zTXt and iTXt: PNG (third edition), clauses 11.3.3.3 and 11.3.3.4.</summary>
    /// <exception cref="InvalidDataException">The text inflates beyond the limit.</exception>
    public static void Check(string type, ReadOnlySpan<byte> data)
    {
        var rest = AfterZero(data);             // the keyword
        if (type == "zTXt")
            rest = After(rest, 1);              // the compression method
        else if (rest.StartsWith((byte)1))
            rest = AfterZero(AfterZero(After(rest, 2))); // compression flag and method, language, translated keyword
        else
            return;
        if (InflatesBeyond(Longest, rest))
            throw new InvalidDataException($"a {type} chunk of {data.Length} bytes inflates to more than {Longest}.");
    }

    static ReadOnlySpan<byte> After(ReadOnlySpan<byte> data, int count) => data[Math.Min(count, data.Length)..];

    static ReadOnlySpan<byte> AfterZero(ReadOnlySpan<byte> data) => data[(data.IndexOf((byte)0) + 1)..];

    static bool InflatesBeyond(int limit, ReadOnlySpan<byte> compressed)
    {
        using var text = new ZLibStream(new MemoryStream(compressed.ToArray()), CompressionMode.Decompress);
        var buffer = new byte[4096];
        try
        {
            for (int total = 0, read; (read = text.Read(buffer)) > 0;)
                if ((total += read) > limit)
                    return true;
        }
        catch (Exception fault) when (fault is InvalidDataException or IOException)
        {
            // A damaged text does no harm to the picture; Pillow reads it as empty.
        }
        return false;
    }
}
