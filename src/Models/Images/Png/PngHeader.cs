using System.Buffers.Binary;

namespace Nibble.Models.Images.Png;

enum PngColour
{
    Grey = 0,
    Rgb = 2,
    Palette = 3,
    GreyAlpha = 4,
    Rgba = 6,
}

/// <summary>The IHDR chunk. PNG (third edition), clause 11.2.1.</summary>
sealed record PngHeader(int Width, int Height, int BitDepth, PngColour Colour, bool Interlaced)
{
    int Channels => Colour switch
    {
        PngColour.Rgb => 3,
        PngColour.GreyAlpha => 2,
        PngColour.Rgba => 4,
        _ => 1,
    };

    int BitsPerPixel => Channels * BitDepth;

    /// <summary>How far back the filters look: whole bytes of a pixel, at least 1.</summary>
    public int PixelBytes => Math.Max(1, BitsPerPixel / 8);

    /// <summary>Bytes of one row of <paramref name="pixels"/>, without the filter byte.</summary>
    public long RowBytes(int pixels) => ((long)pixels * BitsPerPixel + 7) / 8;

    public static PngHeader Parse(ReadOnlySpan<byte> data)
    {
        if (data.Length != 13)
            throw new InvalidDataException($"IHDR has {data.Length} bytes instead of 13.");
        long width = BinaryPrimitives.ReadUInt32BigEndian(data), height = BinaryPrimitives.ReadUInt32BigEndian(data[4..]);
        ImageDecoder.CheckSize(width, height);

        var (depth, colour) = (data[8], (PngColour)data[9]);
        var known = colour switch
        {
            PngColour.Grey => depth is 1 or 2 or 4 or 8 or 16,
            PngColour.Palette => depth is 1 or 2 or 4 or 8,
            PngColour.Rgb or PngColour.GreyAlpha or PngColour.Rgba => depth is 8 or 16,
            _ => false,
        };
        if (!known)
            throw new InvalidDataException($"bit depth {depth} with colour type {data[9]} does not exist.");
        if (data[10] != 0 || data[11] != 0 || data[12] > 1)
            throw new InvalidDataException(
                $"compression {data[10]}, filter {data[11]}, interlace {data[12]}: only 0, 0 and 0 or 1 exist.");
        return new PngHeader((int)width, (int)height, depth, colour, data[12] == 1);
    }
}
