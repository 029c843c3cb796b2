namespace Nibble.Models.Images;

/// <summary>Filters, with the numbers of <c>resample</c> in preprocessor_config.json.</summary>
public enum Resampling
{
    /// <summary>A sinc windowed by a wider sinc, 3 pixels to each side.</summary>
    Lanczos = 1,

    /// <summary>A triangle, 1 pixel to each side.</summary>
    Bilinear = 2,

    /// <summary>Keys' cubic with a = -0.5, 2 pixels to each side.</summary>
    Bicubic = 3,
}

/// <summary>Pillow's <c>Image.resize</c>, bit for bit.</summary>
/// <remarks>
/// When shrinking, the filter is stretched by the ratio. Weights have 22 fractional bits, sums are integers, and every pass
/// rounds and clamps to a byte; a pass that would not change its size is left out. Rows come first, except (since Pillow 13)
/// when the height loses many more pixels than the width. How many more is inferred: recorded results bound the factor
/// between 1.2 and 3.
/// </remarks>
public static class Resize
{
    const int FractionBits = 22; // 8-bit samples and two bits against overflow, of 32

    /// <exception cref="ModelException">The size is empty or beyond <see cref="ImageDecoder.MaxPixels"/>.</exception>
    public static Image Apply(Image image, int width, int height, Resampling filter = Resampling.Bicubic)
    {
        var columnsFirst = ShrinksMoreDown(image, width, height);
        var largest = Math.Max((long)width * height, columnsFirst ? 0 : (long)width * image.Height);
        if (width < 1 || height < 1 || largest > ImageDecoder.MaxPixels)
            throw new ModelException($"Resize: {image.Width} x {image.Height} to {width} x {height} pixels; " +
                $"every step must have 1 to {ImageDecoder.MaxPixels} pixels.");
        return columnsFirst
            ? Across(Down(image, height, filter), width, filter)
            : Down(Across(image, width, filter), height, filter);
    }

    static bool ShrinksMoreDown(Image image, int width, int height) =>
        height < image.Height && image.Height - height > 2L * (image.Width - width);

    static Image Across(Image image, int width, Resampling filter)
    {
        if (width == image.Width)
            return image;
        var taps = Taps.Of(image.Width, width, filter);
        var result = new Image(width, image.Height, new byte[3 * width * image.Height]);
        for (var y = 0; y < image.Height; y++)
        {
            Span<byte> from = image.Row(y), to = result.Row(y);
            for (var x = 0; x < width; x++)
            {
                var (first, weights) = taps[x];
                int red = 1 << FractionBits - 1, green = red, blue = red;
                var pixels = from.Slice(3 * first, 3 * weights.Length);
                for (var i = 0; i < weights.Length; i++, pixels = pixels[3..])
                {
                    red += pixels[0] * weights[i];
                    green += pixels[1] * weights[i];
                    blue += pixels[2] * weights[i];
                }
                to[3 * x] = Clamp(red);
                to[3 * x + 1] = Clamp(green);
                to[3 * x + 2] = Clamp(blue);
            }
        }
        return result;
    }

    static Image Down(Image image, int height, Resampling filter)
    {
        if (height == image.Height)
            return image;
        var taps = Taps.Of(image.Height, height, filter);
        var result = new Image(image.Width, height, new byte[3 * image.Width * height]);
        var sums = new int[3 * image.Width];
        for (var y = 0; y < height; y++)
        {
            var (first, weights) = taps[y];
            Array.Fill(sums, 1 << FractionBits - 1);
            for (var i = 0; i < weights.Length; i++)
            {
                var from = image.Row(first + i);
                var weight = weights[i];
                for (var x = 0; x < from.Length && x < sums.Length; x++)
                    sums[x] += from[x] * weight;
            }
            var to = result.Row(y);
            for (var x = 0; x < to.Length && x < sums.Length; x++)
                to[x] = Clamp(sums[x]);
        }
        return result;
    }

    static byte Clamp(int sum) => (byte)Math.Clamp(sum >> FractionBits, 0, 255);

    /// <summary>The input pixels of one output pixel: the first, and the weight of each.</summary>
    readonly record struct Taps(int First, int[] Weights)
    {
        public static Taps[] Of(int size, int resized, Resampling filter)
        {
            var scale = (double)size / resized;
            var stretch = Math.Max(1, scale);
            var support = Support(filter) * stretch;
            var taps = new Taps[resized];
            for (var i = 0; i < resized; i++)
            {
                var centre = (i + 0.5) * scale;
                var first = (int)Math.Max(0, centre - support + 0.5);
                var end = (int)Math.Min(size, centre + support + 0.5);
                var weights = new double[end - first];
                for (var x = 0; x < weights.Length; x++)
                    weights[x] = Weight(filter, (x + first - centre + 0.5) * (1 / stretch));
                taps[i] = new Taps(first, Quantize(weights));
            }
            return taps;
        }

        /// <summary>Weights of sum 1, rounded half away from zero.</summary>
        static int[] Quantize(double[] weights)
        {
            var sum = 0.0;
            foreach (var weight in weights)
                sum += weight;
            var quantized = new int[weights.Length];
            for (var x = 0; x < weights.Length; x++)
            {
                var scaled = (sum == 0 ? weights[x] : weights[x] / sum) * (1 << FractionBits);
                quantized[x] = (int)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
            }
            return quantized;
        }
    }

    static double Support(Resampling filter) => filter switch
    {
        Resampling.Lanczos => 3,
        Resampling.Bilinear => 1,
        Resampling.Bicubic => 2,
        _ => throw new ModelException($"Resize: there is no filter {filter}."),
    };

    static double Weight(Resampling filter, double x)
    {
        const double A = -0.5;
        var d = Math.Abs(x);
        if (d >= Support(filter))
            return 0;
        return filter switch
        {
            Resampling.Lanczos => Sinc(x) * Sinc(x / 3),
            Resampling.Bilinear => 1 - d,
            _ when d < 1 => ((A + 2) * d - (A + 3)) * d * d + 1,
            _ => (((d - 5) * d + 8) * d - 4) * A,
        };
    }

    static double Sinc(double x) => x == 0 ? 1 : Math.Sin(x * Math.PI) / (x * Math.PI);
}
