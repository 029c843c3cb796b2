namespace Nibble.Models.Images.Png;

/// <summary>PNG (third edition, W3C): every colour type, depth and interlacing, to the RGB bytes that Pillow gives.</summary>
static class PngDecoder
{
    /// <summary>Deflate expands a byte to 1032 at most: a match of 258 in two bits. RFC 1951, clause 3.2.5.</summary>
    const long LargestExpansion = 1032;

    // Clause 8.1: first column and row of each pass, and the steps between its columns and rows.
    static readonly (int X, int Y, int Dx, int Dy)[] Adam7 =
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

    static readonly (int X, int Y, int Dx, int Dy)[] Progressive = [(0, 0, 1, 1)];

    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    public static bool Recognises(ReadOnlySpan<byte> file) => file.StartsWith(Signature);

    /// <returns>The picture as stored, and the EXIF orientation it is to be shown in.</returns>
    public static (Image Image, int Orientation) Decode(ReadOnlySpan<byte> file)
    {
        var chunks = new PngChunks(file);
        if (!chunks.Next() || chunks.Type != "IHDR")
            throw new InvalidDataException("the first chunk is not IHDR.");
        var header = PngHeader.Parse(chunks.Data);

        var orientation = Orientation.Upright;
        byte[]? palette = null;
        var compressed = new MemoryStream();
        while (chunks.Next() && chunks.Type != "IEND")
            switch (chunks.Type)
            {
                case "IDAT":
                    compressed.Write(chunks.Data);
                    break;
                case "PLTE":
                    palette = Palette(chunks.Data);
                    break;
                case "eXIf":
                    orientation = Orientation.Parse(chunks.Data);
                    break;
                case "zTXt" or "iTXt":
                    PngText.Check(chunks.Type, chunks.Data);
                    break;
                case [>= 'A' and <= 'Z', ..]:
                    throw new InvalidDataException($"chunk {chunks.Type} is unknown or repeated, and marked as essential.");
            }

        if (compressed.Length == 0)
            throw new InvalidDataException("there is no IDAT chunk.");
        if (header.Colour == PngColour.Palette && palette is null)
            throw new InvalidDataException("the colours are palette indices, but there is no PLTE chunk.");
        return (Pixels(header, palette, compressed), orientation);
    }

    static Image Pixels(PngHeader header, byte[]? palette, MemoryStream compressed)
    {
        var passes = header.Interlaced ? Adam7 : Progressive;
        var needed = 0L; // bytes, each row with its filter
        foreach (var (x, y, dx, dy) in passes)
            needed += Steps(header.Height, y, dy) * (1 + header.RowBytes(Steps(header.Width, x, dx)));
        if (needed > LargestExpansion * compressed.Length)
            throw new InvalidDataException(
                $"{header.Width} x {header.Height} pixels cannot come out of {compressed.Length} compressed bytes.");

        compressed.Position = 0;
        using var rows = new PngRows(compressed, (int)header.RowBytes(header.Width), header.PixelBytes);
        var pixels = new PngPixels(header, palette);
        var image = new Image(header.Width, header.Height, new byte[3 * header.Width * header.Height]);
        foreach (var (x, y, dx, dy) in passes)
        {
            var across = Steps(header.Width, x, dx);
            if (across == 0)
                continue;
            rows.BeginPass((int)header.RowBytes(across));
            for (var row = y; row < header.Height; row += dy)
                pixels.Write(rows.Next(), across, image.Row(row)[(3 * x)..], dx);
        }
        rows.CheckEnd();
        return image;
    }

    static int Steps(int size, int first, int step) => size <= first ? 0 : (size - first + step - 1) / step;

    /// <summary>256 colours; those the file does not give are black, as in Pillow.</summary>
    static byte[] Palette(ReadOnlySpan<byte> data)
    {
        if (data.Length % 3 != 0 || data.Length is 0 or > 768)
            throw new InvalidDataException($"PLTE has {data.Length} bytes; 1 to 256 colours of 3 bytes are expected.");
        var palette = new byte[768];
        data.CopyTo(palette);
        return palette;
    }
}
