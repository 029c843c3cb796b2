using System.Security.Cryptography;
using System.Text.Json;
using Nibble.Models.Images;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Images;

/// <summary>One row of <c>images/expected.json</c>: what Pillow makes of a file.</summary>
/// <param name="Pixels">False where Pillow gives an error.</param>
/// <param name="EitherIsFine">The other outcome is acceptable too.</param>
/// <param name="Upright">SHA-256 of the RGB bytes after the EXIF orientation has been applied.</param>
public sealed record ExpectedImage(
    string File, bool Pixels, bool EitherIsFine, int Width, int Height, string Stored, string Upright);

static class ImageFixtures
{
    public static byte[] Read(string file) => File.ReadAllBytes(Repository.Fixture("images/" + file));

    public static string Sha256(Image image) => Convert.ToHexStringLower(SHA256.HashData(image.Rgb));

    /// <summary>The rows of a folder whose files are kept here: PNG and JPEG.</summary>
    public static ExpectedImage[] Rows(string folder)
    {
        using var document = JsonDocument.Parse(Read("expected.json"));
        return [.. document.RootElement.EnumerateArray().Select(Row)
            .Where(row => row.File.StartsWith(folder + "/") && row.File.EndsWith(".png") | row.File.EndsWith(".jpg"))];
    }

    static ExpectedImage Row(JsonElement row)
    {
        var pixels = row.GetProperty("outcome").GetString() == "pixels";
        var stored = pixels ? row.GetProperty("sha256").GetString()! : "";
        var turned = row.TryGetProperty("exif_sha256", out var sha);
        var size = turned ? row.GetProperty("exif_size") : default;
        return new ExpectedImage(row.GetProperty("file").GetString()!, pixels, row.TryGetProperty("also_accept", out _),
            !pixels ? 0 : turned ? size[0].GetInt32() : row.GetProperty("width").GetInt32(),
            !pixels ? 0 : turned ? size[1].GetInt32() : row.GetProperty("height").GetInt32(),
            stored, turned ? sha.GetString()! : stored);
    }
}
