using Nibble.Models.Images.Jpeg;

namespace Nibble.Tests.Models.Images;

public class ColourTests
{
    /// <summary>T.871, clause 7, in double: one level of difference, as the integers round each term by itself.</summary>
    [Fact]
    public void YCbCr_follows_the_definition()
    {
        byte[][] rows = [new byte[256], new byte[256], new byte[256], []];
        var rgb = new byte[3 * 256];
        for (var i = 0; i < 256; i++)
            rows[0][i] = (byte)i;
        for (var cb = 0; cb < 256; cb += 5)
            for (var cr = 0; cr < 256; cr += 5)
            {
                Array.Fill(rows[1], (byte)cb);
                Array.Fill(rows[2], (byte)cr);
                Colour.ToRgb(ColourModel.YCbCr, rows, rgb);
                for (var y = 0; y < 256; y++)
                {
                    Assert.InRange(rgb[3 * y] - Level(y + 1.402 * (cr - 128)), -1, 1);
                    Assert.InRange(rgb[3 * y + 1] - Level(y - 0.344136286 * (cb - 128) - 0.714136286 * (cr - 128)), -1, 1);
                    Assert.InRange(rgb[3 * y + 2] - Level(y + 1.772 * (cb - 128)), -1, 1);
                }
            }
    }

    [Fact]
    public void Ink_darkens_whatever_its_coding()
    {
        byte[][] rows = [[255, 0, 100, 200], [255, 0, 50, 128], [255, 0, 25, 128], [255, 255, 128, 255]];
        var rgb = new byte[12];

        Colour.ToRgb(ColourModel.Cmyk, rows, rgb);
        Assert.Equal([255, 255, 255, 0, 0, 0, 50, 25, 13, 200, 128, 128], rgb);

        byte[][] grey = [[255, 0, 100, 200], [128, 128, 128, 128], [128, 128, 128, 128], [255, 255, 128, 0]];
        Colour.ToRgb(ColourModel.Ycck, grey, rgb);
        Assert.Equal([0, 0, 0, 255, 255, 255, 78, 78, 78, 0, 0, 0], rgb);
    }

    static int Level(double value) => (int)Math.Clamp(Math.Round(value), 0, 255);
}
