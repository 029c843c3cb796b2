using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Images;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Images;

public class ResizeTests
{
    /// <summary>Keys like <c>resize.a.bicubic.16x12</c>, of the filters we have.</summary>
    public static IEnumerable<TheoryDataRow<string, string>> Recorded
    {
        get
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("models/_images/vision_preprocess.json")));
            foreach (var row in json.RootElement.GetProperty("resize").EnumerateArray())
            {
                var key = row.GetProperty("key").GetString()!;
                if (Enum.TryParse<Resampling>(key.Split('.')[2], ignoreCase: true, out _))
                    yield return new TheoryDataRow<string, string>(key, row.GetProperty("sha256").GetString()!);
            }
        }
    }

    [Theory, MemberData(nameof(Recorded))]
    public void Bytes_are_those_of_Pillow(string key, string sha256)
    {
        var (parts, size) = (key.Split('.'), key.Split('.')[3].Split('x').Select(int.Parse).ToArray());
        var image = Picture(parts[1]);

        var resized = Resize.Apply(image, size[0], size[1], Enum.Parse<Resampling>(parts[2], ignoreCase: true));

        Assert.Equal((size[0], size[1]), (resized.Width, resized.Height));
        using var stored = SafetensorsFile.Open(Repository.Fixture("models/_images/vision_preprocess.safetensors"));
        if (stored.Find(key) is not null) // shows where the first difference is
            Assert.Equal(stored.Load(key).Span<byte>().ToArray(), resized.Rgb);
        Assert.Equal(sha256, ImageFixtures.Sha256(resized));
    }

    /// <summary>Here columns come first; the hashes are of the pixels behind pixel_values that Transformers recorded.</summary>
    [Theory]
    [InlineData("b", 24, 40, "ce8e450d20dbd91f2a75460bd4939106200517563f11b3b9e2220ef19ad4695f")] // Mistral3
    [InlineData("b", 16, 32, "209d2adcc1f1829e9d0efba574cfa2a6e2de027fcf0895577699320a6b5e2580")] // Pixtral
    [InlineData("b", 28, 28, "6bb5409f7a0d934e3239ceeffc597062be020cbb65982ddfe59cc64ddb9772b6")] // PaliGemma
    public void Tall_pictures_are_resized_down_the_columns_first(string letter, int width, int height, string sha256) =>
        Assert.Equal(sha256, ImageFixtures.Sha256(Resize.Apply(Picture(letter), width, height)));

    [Fact]
    public void The_same_size_is_the_same_picture()
    {
        var image = Picture("a");
        Assert.Same(image, Resize.Apply(image, image.Width, image.Height));
    }

    /// <summary>Weights sum to one, so that a plain colour stays one; white would show an overflow.</summary>
    [Theory]
    [InlineData(Resampling.Bilinear)]
    [InlineData(Resampling.Bicubic)]
    [InlineData(Resampling.Lanczos)]
    public void A_plain_picture_stays_plain_at_every_size(Resampling filter)
    {
        foreach (byte value in (byte[])[0, 1, 128, 255])
            for (var size = 1; size <= 40; size++)
            {
                var image = new Image(17, 5, [.. Enumerable.Repeat(value, 17 * 5 * 3)]);
                Assert.All(Resize.Apply(image, size, 41 - size, filter).Rgb, found => Assert.Equal(value, found));
            }
    }

    [Theory]
    [InlineData(0, 4)]
    [InlineData(4, -1)]
    [InlineData(20000, 20000)]
    [InlineData(100_000_000, 2)]
    public void A_size_without_pixels_or_with_too_many_is_refused(int width, int height)
    {
        var fault = Assert.Throws<ModelException>(() => Resize.Apply(new Image(2, 2, new byte[12]), width, height));
        Assert.Contains($"2 x 2 to {width} x {height}", fault.Message);
    }

    static Image Picture(string letter)
    {
        var path = Directory.GetFiles(Repository.Fixture("models/_images"), letter + "*.png").Single();
        return ImageDecoder.Decode(File.ReadAllBytes(path), path);
    }
}
