using System.Buffers.Binary;

namespace Nibble.Models.Images;

/// <summary>The orientation a camera notes in EXIF: tag 274 of the first directory of a TIFF structure, values 1 to 8.</summary>
/// <remarks>Exif 2.32, clause 4.6.4 A. What is damaged or out of range means upright, as in Pillow.</remarks>
static class Orientation
{
    public const int Upright = 1;

    const int Tag = 274, EntryBytes = 12;

    /// <param name="tiff">EXIF data from the byte order mark on.</param>
    public static int Parse(ReadOnlySpan<byte> tiff)
    {
        var little = tiff.StartsWith("II*\0"u8);
        if (tiff.Length < 8 || !little && !tiff.StartsWith("MM\0*"u8))
            return Upright;
        var start = U32(tiff[4..], little);
        if (start > tiff.Length - 2)
            return Upright;

        var directory = tiff[(int)start..];
        var entries = Math.Min(U16(directory, little), (directory.Length - 2) / EntryBytes);
        for (var i = 0; i < entries; i++)
        {
            var entry = directory.Slice(2 + i * EntryBytes, EntryBytes);
            if (U16(entry, little) != Tag)
                continue;
            uint value = U16(entry[2..], little) switch
            {
                1 => entry[8],                      // BYTE
                3 => (uint)U16(entry[8..], little), // SHORT, what the standard asks for
                4 => U32(entry[8..], little),       // LONG
                _ => Upright,
            };
            return value is >= 1 and <= 8 ? (int)value : Upright;
        }
        return Upright;
    }

    /// <summary>The picture as it is to be seen.</summary>
    public static Image Apply(Image image, int orientation)
    {
        if (orientation == Upright)
            return image;
        var swapped = orientation >= 5;                        // rows become columns
        var mirrored = orientation is 2 or 3 or 7 or 8;        // columns of the stored picture from right to left
        var upsideDown = orientation is 3 or 4 or 6 or 7;      // rows of the stored picture from bottom to top
        var (width, height) = swapped ? (image.Height, image.Width) : (image.Width, image.Height);

        var alongStored = mirrored ? -1 : 1;                   // pixels to the next stored column, to the next stored row
        var downStored = upsideDown ? -image.Width : image.Width;
        var (across, down) = swapped ? (downStored, alongStored) : (alongStored, downStored);
        var first = (mirrored ? image.Width - 1 : 0) + (upsideDown ? (image.Height - 1) * image.Width : 0);

        var rgb = new byte[image.Rgb.Length];
        for (int y = 0, to = 0; y < height; y++)
            for (int x = 0, from = first + y * down; x < width; x++, from += across, to += 3)
                image.Rgb.AsSpan(3 * from, 3).CopyTo(rgb.AsSpan(to, 3));
        return new Image(width, height, rgb);
    }

    static int U16(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16BigEndian(bytes);

    static uint U32(ReadOnlySpan<byte> bytes, bool little) =>
        little ? BinaryPrimitives.ReadUInt32LittleEndian(bytes) : BinaryPrimitives.ReadUInt32BigEndian(bytes);
}
