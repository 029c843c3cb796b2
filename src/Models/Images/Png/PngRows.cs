using System.IO.Compression;

namespace Nibble.Models.Images.Png;

/// <summary>Rows of samples, inflated as far as needed, their filters taken back. PNG (third edition), clause 9.</summary>
/// <param name="longest">Bytes of the longest row.</param>
/// <param name="pixelBytes">How far back the filters look.</param>
sealed class PngRows(Stream compressed, int longest, int pixelBytes) : IDisposable
{
    readonly BufferedStream inflated = new(new ZLibStream(compressed, CompressionMode.Decompress), 8192);
    byte[] row = new byte[1 + longest], above = new byte[1 + longest]; // a filter byte, then samples
    int rowBytes;

    /// <summary>The next row has nothing above it.</summary>
    public void BeginPass(int bytes)
    {
        rowBytes = bytes;
        Array.Clear(row);
    }

    public ReadOnlySpan<byte> Next()
    {
        (row, above) = (above, row);
        if (Read(row.AsSpan(0, 1 + rowBytes)) < 1 + rowBytes)
            throw new InvalidDataException("the compressed data ends before the last row.");
        Unfilter(row[0], row.AsSpan(1, rowBytes), above.AsSpan(1, rowBytes));
        return row.AsSpan(1, rowBytes);
    }

    /// <summary>Where the data ends with the picture, the checksum that follows is verified; more data is left unread.</summary>
    public void CheckEnd() => Read(new byte[1]);

    public void Dispose() => inflated.Dispose();

    int Read(Span<byte> bytes)
    {
        try
        {
            return inflated.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        }
        catch (Exception fault) when (fault is InvalidDataException or IOException)
        {
            throw new InvalidDataException("the compressed data is damaged.", fault);
        }
    }

    void Unfilter(int filter, Span<byte> x, ReadOnlySpan<byte> b)
    {
        var left = Math.Min(pixelBytes, x.Length); // bytes of the first pixel: nothing is left of them
        switch (filter)
        {
            case 0:
                break;
            case 1:
                for (var i = left; i < x.Length; i++)
                    x[i] += x[i - pixelBytes];
                break;
            case 2:
                for (var i = 0; i < x.Length; i++)
                    x[i] += b[i];
                break;
            case 3:
                for (var i = 0; i < left; i++)
                    x[i] += (byte)(b[i] / 2);
                for (var i = left; i < x.Length; i++)
                    x[i] += (byte)((x[i - pixelBytes] + b[i]) / 2);
                break;
            case 4:
                for (var i = 0; i < left; i++)
                    x[i] += b[i];
                for (var i = left; i < x.Length; i++)
                    x[i] += Paeth(x[i - pixelBytes], b[i], b[i - pixelBytes]);
                break;
            default:
                throw new InvalidDataException($"a row has filter {filter}; 0 to 4 exist.");
        }
    }

    /// <summary>Whichever of left, above and above left is closest to left + above − above left. Clause 9.4.</summary>
    static byte Paeth(byte a, byte b, byte c)
    {
        int toA = Math.Abs(b - c), toB = Math.Abs(a - c), toC = Math.Abs(a + b - 2 * c);
        return toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
    }
}
