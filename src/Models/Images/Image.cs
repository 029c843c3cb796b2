namespace Nibble.Models.Images;

/// <summary>A picture of 8-bit red, green and blue.</summary>
public sealed class Image
{
    /// <param name="width">Pixels across, at least 1.</param>
    /// <param name="height">Pixels down, at least 1.</param>
    /// <param name="rgb">[height, width, 3] bytes, row-major without padding; not copied.</param>
    /// <exception cref="ModelException">The bytes are not as many as the size asks for.</exception>
    public Image(int width, int height, byte[] rgb)
    {
        if (width < 1 || height < 1 || rgb.Length != 3L * width * height)
            throw new ModelException($"{width} x {height} pixels need {3L * width * height} bytes; got {rgb.Length}.");
        Width = width;
        Height = height;
        Rgb = rgb;
    }

    public int Width { get; }

    public int Height { get; }

    /// <summary>[height, width, 3].</summary>
    public byte[] Rgb { get; }

    /// <summary>One row: [width, 3].</summary>
    internal Span<byte> Row(int y) => Rgb.AsSpan(3 * Width * y, 3 * Width);
}
