using Nibble.Models.Images.Jpeg;
using Nibble.Models.Images.Png;

namespace Nibble.Models.Images;

/// <summary>Picture files to the pixels Transformers' <c>load_image</c> sees: Pillow's, turned as EXIF says.</summary>
/// <remarks>Alpha is dropped, never composited; gamma and colour profiles are ignored.</remarks>
public static class ImageDecoder
{
    /// <summary>Pillow's limit: a larger picture is taken for a decompression bomb.</summary>
    public const int MaxPixels = 178_956_970;

    /// <param name="file">The whole file; its format is recognised by its first bytes, not by its name.</param>
    /// <param name="origin">What errors call the file, usually its path.</param>
    /// <exception cref="ModelException">Neither PNG nor JPEG, damaged, too large, or of a kind that is not supported.</exception>
    public static Image Decode(ReadOnlySpan<byte> file, string origin)
    {
        var format = PngDecoder.Recognises(file) ? "PNG" : JpegDecoder.Recognises(file) ? "JPEG" : null;
        if (format is null)
            throw new ModelException($"{origin}: PNG and JPEG are supported; this is {Describe(file)}.");
        try
        {
            var (image, orientation) = format == "PNG" ? PngDecoder.Decode(file) : JpegDecoder.Decode(file);
            return Orientation.Apply(image, orientation);
        }
        catch (InvalidDataException fault)
        {
            throw new ModelException($"{origin}: this {format} cannot be read: {fault.Message}", fault);
        }
    }

    /// <summary>Refuses empty pictures and those beyond <see cref="MaxPixels"/>, before anything is allocated for them.</summary>
    internal static void CheckSize(long width, long height)
    {
        if (width < 1 || height < 1)
            throw new InvalidDataException($"the size {width} x {height} is empty.");
        if (width > MaxPixels || height > MaxPixels || width * height > MaxPixels)
            throw new InvalidDataException($"{width} x {height} pixels are more than the limit of {MaxPixels}.");
    }

    static string Describe(ReadOnlySpan<byte> file)
    {
        if (file.IsEmpty)
            return "an empty file";
        if (file.StartsWith("RIFF"u8) && file.Length >= 12 && file[8..].StartsWith("WEBP"u8))
            return "WebP";
        if (file.StartsWith("BM"u8))
            return "BMP";
        if (file.StartsWith("GIF87a"u8) || file.StartsWith("GIF89a"u8))
            return "GIF";
        if (file.StartsWith("II*\0"u8) || file.StartsWith("MM\0*"u8))
            return "TIFF";
        if (file.Length >= 12 && file[4..].StartsWith("ftyp"u8))
            return "an ISO media file (AVIF, HEIC or video)";
        var start = file[..Math.Min(8, file.Length)];
        return $"no picture format we know: it begins with the bytes {Convert.ToHexString(start)}";
    }
}
