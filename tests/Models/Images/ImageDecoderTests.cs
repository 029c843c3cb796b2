using System.Buffers.Binary;
using Nibble.Models;
using Nibble.Models.Images;
using Nibble.Models.Images.Jpeg;
using Nibble.Models.Images.Png;

namespace Nibble.Tests.Models.Images;

public class ImageDecoderTests
{
    public static IEnumerable<TheoryDataRow<ExpectedImage>> Png => Data("png");

    public static IEnumerable<TheoryDataRow<ExpectedImage>> Jpeg => Data("jpeg");

    public static IEnumerable<TheoryDataRow<ExpectedImage>> Malformed => Data("malformed");

    static IEnumerable<TheoryDataRow<ExpectedImage>> Data(string folder) =>
        ImageFixtures.Rows(folder).Select(row => new TheoryDataRow<ExpectedImage>(row) { TestDisplayName = row.File });

    [Theory, MemberData(nameof(Png)), MemberData(nameof(Jpeg))]
    public void Pixels_are_those_of_Pillow(ExpectedImage expected)
    {
        var file = ImageFixtures.Read(expected.File);

        var image = ImageDecoder.Decode(file, expected.File);

        Assert.Equal((expected.Width, expected.Height), (image.Width, image.Height));
        Assert.Equal(expected.Upright, ImageFixtures.Sha256(image));
        var stored = PngDecoder.Recognises(file) ? PngDecoder.Decode(file).Image : JpegDecoder.Decode(file).Image;
        Assert.Equal(expected.Stored, ImageFixtures.Sha256(stored));
    }

    [Theory, MemberData(nameof(Malformed))]
    public void Damage_is_an_error_or_what_Pillow_makes_of_it(ExpectedImage expected)
    {
        var file = ImageFixtures.Read(expected.File);
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            var image = ImageDecoder.Decode(file, expected.File);
            Assert.True(expected.Pixels || expected.EitherIsFine, "an error was expected");
            if (expected.Pixels)
                Assert.Equal(expected.Upright, ImageFixtures.Sha256(image));
        }
        catch (ModelException fault)
        {
            Assert.True(!expected.Pixels || expected.EitherIsFine, fault.Message);
            Assert.StartsWith(expected.File + ": ", fault.Message);
        }
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Theory]
    [InlineData("malformed/not_an_image.txt", "begins with the bytes")]
    [InlineData("malformed/bad_signature.png", "begins with the bytes")]
    [InlineData("malformed/empty.png", "an empty file")]
    [InlineData("malformed/truncated.webp", "WebP")]
    [InlineData("malformed/zero_width.bmp", "BMP")]
    public void What_is_neither_PNG_nor_JPEG_is_named(string file, string found)
    {
        var fault = Assert.Throws<ModelException>(() => ImageDecoder.Decode(ImageFixtures.Read(file), file));
        Assert.StartsWith($"{file}: PNG and JPEG are supported; this is ", fault.Message);
        Assert.Contains(found, fault.Message);
    }

    [Fact]
    public void Other_formats_are_named()
    {
        Assert.Contains("GIF", Message("GIF89a..."u8));
        Assert.Contains("TIFF", Message("II*\0...."u8));
        Assert.Contains("AVIF", Message("\0\0\0\u0020ftypavif"u8));

        static string Message(ReadOnlySpan<byte> file)
        {
            try
            {
                ImageDecoder.Decode(file, "x");
                return "";
            }
            catch (ModelException fault)
            {
                return fault.Message;
            }
        }
    }

    [Fact]
    public void The_limit_on_pixels_is_Pillows()
    {
        ImageDecoder.CheckSize(ImageDecoder.MaxPixels, 1);
        Assert.Throws<InvalidDataException>(() => ImageDecoder.CheckSize(ImageDecoder.MaxPixels + 1, 1));
        Assert.Throws<InvalidDataException>(() => ImageDecoder.CheckSize(uint.MaxValue, uint.MaxValue));
        Assert.Throws<InvalidDataException>(() => ImageDecoder.CheckSize(1, 0));
    }

    /// <summary>A size that is allowed, but that so few bytes cannot hold, is refused before pixels are allocated.</summary>
    [Theory]
    [InlineData("jpeg/baseline_444_8x8.jpg")]
    [InlineData("jpeg/progressive_420_17x13.jpg")]
    [InlineData("png/rgb8_1x1.png")]
    [InlineData("png/rgb8_1x1_adam7.png")]
    public void A_size_the_file_cannot_justify_is_refused(string name)
    {
        var file = ImageFixtures.Read(name);
        if (name.EndsWith(".png"))
        {
            BinaryPrimitives.WriteInt32BigEndian(file.AsSpan(16), 13000);
            BinaryPrimitives.WriteInt32BigEndian(file.AsSpan(20), 13000);
            Checksum.Repair(file);
        }
        else
            for (var i = 2; i < file.Length; i++)
                if (file[i] == 0xFF && file[i + 1] is 0xC0 or 0xC2)
                {
                    BinaryPrimitives.WriteInt16BigEndian(file.AsSpan(i + 5), 13000);
                    BinaryPrimitives.WriteInt16BigEndian(file.AsSpan(i + 7), 13000);
                    break;
                }

        var before = GC.GetAllocatedBytesForCurrentThread();
        var fault = Assert.Throws<ModelException>(() => ImageDecoder.Decode(file, name));
        Assert.Contains("13000 x 13000 pixels cannot come out of", fault.Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void A_stream_that_asks_for_a_dictionary_is_an_error()
    {
        var file = ImageFixtures.Read("png/rgb8_1x1.png");
        var at = file.AsSpan().IndexOf("IDAT"u8) + 4;
        (file[at], file[at + 1]) = (0x78, 0xBB); // the preset dictionary flag, and check bits that fit (RFC 1950, clause 2.2)
        Checksum.Repair(file);
        Assert.Contains("damaged", Assert.Throws<ModelException>(() => ImageDecoder.Decode(file, "x")).Message);
    }

    /// <summary>Whatever is changed in a file, there is a picture or one kind of error.</summary>
    [Theory, MemberData(nameof(Png)), MemberData(nameof(Jpeg))]
    public void Random_damage_never_escapes_as_another_exception(ExpectedImage expected)
    {
        var original = ImageFixtures.Read(expected.File);
        var random = new Random(original.Length);
        for (var round = 0; round < 60; round++)
        {
            var file = original.ToArray();
            for (var i = random.Next(1, 6); i > 0; i--)
                file[random.Next(8, file.Length)] = (byte)random.Next(256);
            if (random.Next(4) == 0)
                file = file[..random.Next(8, file.Length)];
            if (expected.File.EndsWith(".png"))
                Checksum.Repair(file); // or nothing behind it would be reached
            try
            {
                ImageDecoder.Decode(file, expected.File);
            }
            catch (ModelException fault)
            {
                Assert.StartsWith(expected.File + ": ", fault.Message);
            }
        }
    }
}
