using System.Text.Json;
using Nibble.Tensors;

namespace Nibble.Models.Images;

/// <summary>Pictures to patches for Qwen2-VL, Qwen2.5-VL and Qwen3-VL: Transformers' <c>Qwen2VLImageProcessor</c>.</summary>
/// <remarks>Resizes like Pillow; the torchvision ("fast") variant differs from that by a grey level here and there.</remarks>
public sealed record Qwen2VlImageProcessor
{
    /// <summary>Longer over shorter side of a picture that is still accepted.</summary>
    public const int MaxAspectRatio = 200;

    /// <summary>Pixels of a patch, along each side.</summary>
    public int PatchSize { get; init; } = 14;

    /// <summary>Patches that the vision tower merges into one token, along each side.</summary>
    public int MergeSize { get; init; } = 2;

    /// <summary>Frames of a patch; a picture is repeated to fill them.</summary>
    public int TemporalPatchSize { get; init; } = 2;

    /// <summary>Bounds on width times height after resizing.</summary>
    public long MinPixels { get; init; } = 56 * 56;

    public long MaxPixels { get; init; } = 28 * 28 * 1280;

    public bool Resizes { get; init; } = true;

    public Resampling Filter { get; init; } = Resampling.Bicubic;

    /// <summary>What bytes are multiplied with; 1 when they are left as they are.</summary>
    public double RescaleFactor { get; init; } = 1 / 255.0;

    /// <summary>Subtracted from red, green and blue after rescaling.</summary>
    public IReadOnlyList<float> Mean { get; init; } = [0.48145466f, 0.4578275f, 0.40821073f];

    /// <summary>Red, green and blue are then divided by this.</summary>
    public IReadOnlyList<float> Deviation { get; init; } = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary>Both sides of a resized picture are multiples of this many pixels.</summary>
    public int Factor => PatchSize * MergeSize;

    /// <param name="config">
    /// preprocessor_config.json, or processor_config.json with an <c>image_processor</c>; Transformers' defaults complete it.
    /// </param>
    /// <param name="origin">What errors call the file.</param>
    /// <exception cref="ModelException">A value of the wrong kind or out of range, or another model's processor.</exception>
    public static Qwen2VlImageProcessor Parse(JsonElement config, string origin)
    {
        var settings = new PreprocessorSettings(config, origin);
        var type = settings.Text("image_processor_type");
        if (type is not null && !type.StartsWith("Qwen2VL") && !type.StartsWith("Qwen2_5_VL") && !type.StartsWith("Qwen3VL"))
            throw settings.Error("image_processor_type", "Qwen2VLImageProcessor", type);

        var defaults = new Qwen2VlImageProcessor();
        var (min, max) = settings.Edges(defaults.MinPixels, defaults.MaxPixels); // named edges, but numbers of pixels
        var normalizes = settings.Flag("do_normalize", true);
        _ = settings.Flag("do_convert_rgb", true); // pictures have been RGB since they were decoded
        return new Qwen2VlImageProcessor
        {
            PatchSize = (int)settings.Integer("patch_size", defaults.PatchSize, 1, 1024),
            MergeSize = (int)settings.Integer("merge_size", defaults.MergeSize, 1, 64),
            TemporalPatchSize = (int)settings.Integer("temporal_patch_size", defaults.TemporalPatchSize, 1, 64),
            MinPixels = settings.Integer("min_pixels", min, 1, long.MaxValue),
            MaxPixels = settings.Integer("max_pixels", max, 1, long.MaxValue),
            Resizes = settings.Flag("do_resize", true),
            Filter = settings.Filter("resample", defaults.Filter),
            RescaleFactor = settings.Flag("do_rescale", true) ? settings.Number("rescale_factor", defaults.RescaleFactor) : 1,
            Mean = normalizes ? settings.Colour("image_mean", defaults.Mean) : [0, 0, 0],
            Deviation = normalizes ? settings.Colour("image_std", defaults.Deviation) : [1, 1, 1],
        };
    }

    /// <summary>
    /// The size a picture is resized to ("smart_resize"): multiples of <see cref="Factor"/> near its own, or near its ratio
    /// and within <see cref="MinPixels"/> and <see cref="MaxPixels"/>.
    /// </summary>
    /// <exception cref="ModelException">The picture is too long for its width, or would become too large.</exception>
    public (int Width, int Height) TargetSize(int width, int height)
    {
        if (Math.Max(width, height) > (long)MaxAspectRatio * Math.Min(width, height))
            throw new ModelException($"{width} x {height} pixels: one side may be at most {MaxAspectRatio} times the other.");
        var across = Factor * Math.Round((double)width / Factor); // half to even, as Python rounds
        var down = Factor * Math.Round((double)height / Factor);
        if (across * down > MaxPixels)
        {
            var shrink = Math.Sqrt((double)height * width / MaxPixels);
            across = Math.Max(Factor, Factor * Math.Floor(width / shrink / Factor));
            down = Math.Max(Factor, Factor * Math.Floor(height / shrink / Factor));
        }
        else if (across * down < MinPixels)
        {
            var grow = Math.Sqrt(MinPixels / ((double)height * width));
            across = Factor * Math.Ceiling(width * grow / Factor);
            down = Factor * Math.Ceiling(height * grow / Factor);
        }
        if (across * down > ImageDecoder.MaxPixels)
            throw new ModelException($"A picture of {width} x {height} pixels would be resized to {across} x {down}.");
        return ((int)across, (int)down);
    }

    /// <summary>Resizes, rescales, normalizes and cuts a picture into patches.</summary>
    /// <returns>
    /// Patches in the order of merging: row of blocks, column of blocks, row in the block, column in the block. Each is
    /// [3, TemporalPatchSize, PatchSize, PatchSize].
    /// </returns>
    /// <exception cref="ModelException">The picture's shape is not accepted, or not a multiple and not to be resized.</exception>
    public ImagePatches Prepare(Image image)
    {
        if (Resizes)
        {
            var (width, height) = TargetSize(image.Width, image.Height);
            image = Resize.Apply(image, width, height, Filter);
        }
        else if (image.Width % Factor != 0 || image.Height % Factor != 0)
            throw new ModelException($"A picture of {image.Width} x {image.Height} pixels is not to be resized; " +
                $"its sides must be multiples of {Factor}.");

        int down = image.Height / PatchSize, across = image.Width / PatchSize;
        var patches = Tensor.Empty((long)down * across, 3L * TemporalPatchSize * PatchSize * PatchSize);
        var levels = Levels();
        var index = 0;
        for (var blockRow = 0; blockRow < down; blockRow += MergeSize)
            for (var blockColumn = 0; blockColumn < across; blockColumn += MergeSize)
                for (var row = 0; row < MergeSize; row++)
                    for (var column = 0; column < MergeSize; column++)
                        Cut(image, blockRow + row, blockColumn + column, levels, patches.Row(index++));
        return new ImagePatches(patches, 1, down, across);
    }

    void Cut(Image image, int down, int across, float[] levels, Span<float> patch)
    {
        var frame = PatchSize * PatchSize;
        for (var colour = 0; colour < 3; colour++)
        {
            var frames = patch.Slice(colour * TemporalPatchSize * frame, TemporalPatchSize * frame);
            var to = 0;
            for (var y = 0; y < PatchSize; y++)
            {
                var row = image.Row(down * PatchSize + y).Slice(3 * across * PatchSize, 3 * PatchSize);
                for (var x = 0; x < PatchSize; x++)
                    frames[to++] = levels[256 * colour + row[3 * x + colour]];
            }
            for (var t = 1; t < TemporalPatchSize; t++)
                frames[..frame].CopyTo(frames[(t * frame)..]);
        }
    }

    /// <summary>What each byte becomes, by colour: [3, 256]. Rescaled in double, normalized in float, as in NumPy.</summary>
    float[] Levels()
    {
        var levels = new float[3 * 256];
        for (var colour = 0; colour < 3; colour++)
            for (var value = 0; value < 256; value++)
                levels[256 * colour + value] = ((float)(value * RescaleFactor) - Mean[colour]) / Deviation[colour];
        return levels;
    }
}
