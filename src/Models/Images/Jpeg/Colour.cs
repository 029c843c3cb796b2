namespace Nibble.Models.Images.Jpeg;

enum ColourModel
{
    Grey,
    Rgb,
    YCbCr, // T.871, clause 7
    Cmyk,  // inverted, as Adobe writes it: 255 is no ink
    Ycck,  // YCbCr of the complement of such CMY, and K
}

/// <summary>What the components of a JPEG mean, and RGB from it. Fixed point of 16 fractional bits, as in libjpeg.</summary>
static class Colour
{
    const int FractionBits = 16, Half = 1 << FractionBits - 1;

    const int RedFromCr = 91881, BlueFromCb = 116130, GreenFromCr = 46802, GreenFromCb = 22554; // 1.402, 1.772, 0.71414, 0.34414

    /// <summary>A JFIF marker decides, then an Adobe marker, then the component identifiers.</summary>
    public static ColourModel Choose(Frame frame, bool jfif, int? adobeTransform)
    {
        if (frame.Components.Length == 1)
            return ColourModel.Grey;
        if (frame.Components.Length == 4)
            return adobeTransform is null or 0 ? ColourModel.Cmyk : ColourModel.Ycck;
        if (jfif)
            return ColourModel.YCbCr;
        if (adobeTransform is { } transform)
            return transform == 0 ? ColourModel.Rgb : ColourModel.YCbCr;
        var named = frame.Components.Select(component => component.Id).SequenceEqual("RGB"u8.ToArray());
        return named ? ColourModel.Rgb : ColourModel.YCbCr;
    }

    /// <param name="rows">One row of each component, at the picture's resolution.</param>
    public static void ToRgb(ColourModel model, byte[][] rows, Span<byte> rgb)
    {
        switch (model)
        {
            case ColourModel.Grey:
                Interleave(rows[0], rows[0], rows[0], rgb);
                break;
            case ColourModel.Rgb:
                Interleave(rows[0], rows[1], rows[2], rgb);
                break;
            case ColourModel.YCbCr:
                FromYCbCr(rows[0], rows[1], rows[2], rgb);
                break;
            case ColourModel.Cmyk:
                Interleave(rows[0], rows[1], rows[2], rgb);
                Darken(rows[3], rgb);
                break;
            case ColourModel.Ycck:
                FromYCbCr(rows[0], rows[1], rows[2], rgb);
                foreach (ref var value in rgb)
                    value = (byte)(255 - value);
                Darken(rows[3], rgb);
                break;
        }
    }

    static void Interleave(ReadOnlySpan<byte> red, ReadOnlySpan<byte> green, ReadOnlySpan<byte> blue, Span<byte> rgb)
    {
        for (int x = 0, to = 0; to < rgb.Length; x++, to += 3)
        {
            rgb[to] = red[x];
            rgb[to + 1] = green[x];
            rgb[to + 2] = blue[x];
        }
    }

    static void FromYCbCr(ReadOnlySpan<byte> luma, ReadOnlySpan<byte> blueness, ReadOnlySpan<byte> redness, Span<byte> rgb)
    {
        for (int x = 0, to = 0; to + 2 < rgb.Length; x++, to += 3)
        {
            int y = luma[x], cb = blueness[x] - 128, cr = redness[x] - 128;
            rgb[to] = Clamp(y + (RedFromCr * cr + Half >> FractionBits));
            rgb[to + 1] = Clamp(y + (Half - GreenFromCb * cb - GreenFromCr * cr >> FractionBits));
            rgb[to + 2] = Clamp(y + (BlueFromCb * cb + Half >> FractionBits));
        }
    }

    /// <summary>colour · black / 255, rounded.</summary>
    static void Darken(ReadOnlySpan<byte> black, Span<byte> rgb)
    {
        for (var i = 0; i < rgb.Length; i++)
            rgb[i] = (byte)((rgb[i] * black[i / 3] + 127) / 255);
    }

    static byte Clamp(int value) => (byte)Math.Clamp(value, 0, 255);
}
