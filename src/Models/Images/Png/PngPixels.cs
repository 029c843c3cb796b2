namespace Nibble.Models.Images.Png;

/// <summary>Samples of one row to RGB, the way Pillow's <c>convert("RGB")</c> does it.</summary>
sealed class PngPixels(PngHeader header, byte[]? palette)
{
    readonly byte[] colours = header.Colour == PngColour.Palette ? palette! : Greys(header.BitDepth);

    /// <summary>Writes every <paramref name="step"/>-th pixel of <paramref name="rgb"/>.</summary>
    public void Write(ReadOnlySpan<byte> row, int count, Span<byte> rgb, int step)
    {
        switch (header.Colour)
        {
            case PngColour.Grey when header.BitDepth == 16:
                Clip(row, count, rgb, step);
                break;
            case PngColour.Grey or PngColour.Palette:
                LookUp(row, count, rgb, step);
                break;
            case PngColour.Rgb when header.BitDepth == 8 && step == 1:
                row.CopyTo(rgb);
                break;
            default:
                Pick(row, count, rgb, step);
                break;
        }
    }

    /// <summary>Indices of 1, 2, 4 or 8 bits, the leftmost pixel in the highest bits.</summary>
    void LookUp(ReadOnlySpan<byte> row, int count, Span<byte> rgb, int step)
    {
        var depth = header.BitDepth;
        for (int i = 0, to = 0; i < count; i++, to += 3 * step)
        {
            var bit = (long)i * depth;
            var index = row[(int)(bit / 8)] >> (int)(8 - depth - bit % 8) & (1 << depth) - 1;
            colours.AsSpan(3 * index, 3).CopyTo(rgb[to..]);
        }
    }

    /// <summary>16-bit grey alone is clipped at 255; everything else of 16 bits keeps its high byte.</summary>
    static void Clip(ReadOnlySpan<byte> row, int count, Span<byte> rgb, int step)
    {
        for (int i = 0, to = 0; i < count; i++, to += 3 * step)
            rgb.Slice(to, 3).Fill(row[2 * i] > 0 ? (byte)255 : row[2 * i + 1]);
    }

    void Pick(ReadOnlySpan<byte> row, int count, Span<byte> rgb, int step)
    {
        var pixel = header.PixelBytes;
        var sample = header.Colour == PngColour.GreyAlpha ? 0 : header.BitDepth / 8; // from red to green, to blue
        for (int i = 0, from = 0, to = 0; i < count; i++, from += pixel, to += 3 * step)
        {
            rgb[to] = row[from];
            rgb[to + 1] = row[from + sample];
            rgb[to + 2] = row[from + 2 * sample];
        }
    }

    static byte[] Greys(int depth)
    {
        var greys = new byte[768];
        if (depth <= 8)
            for (var i = 0; i < 1 << depth; i++)
                greys.AsSpan(3 * i, 3).Fill((byte)(i * 255 / ((1 << depth) - 1)));
        return greys;
    }
}
