using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Images;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models.Images;

public class Qwen2VlImageProcessorTests
{
    [Theory]
    [InlineData("one", "a.png")]
    [InlineData("two", "b.png", "c.png")]
    public void Patches_of_the_tiny_model_are_those_of_Transformers(string sample, params string[] pictures)
    {
        var folder = Repository.Fixture("models/qwen2_5_vl");
        var processor = Load(Path.Combine(folder, "preprocessor_config.json"));
        using var expected = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));

        Compare(processor, expected, sample, [.. pictures.Select(name => Repository.Fixture("models/_images/" + name))]);
    }

    [Theory]
    [InlineData("0", "000.png")]
    [InlineData("1", "006.png")]
    [InlineData("2", "007.png")]
    [InlineData("3", "008.png")]
    [InlineData("4", "009.png")]
    [InlineData("5", "016.png")]
    public void Patches_of_the_sample_model_are_those_of_Transformers(string sample, string picture)
    {
        var folder = Repository.Path("samples/shapes-vlm");
        using var expected = SafetensorsFile.Open(Path.Combine(folder, "reference.safetensors"));

        Compare(Load(Path.Combine(folder, "preprocessor_config.json")), expected, sample, Path.Combine(folder, "eval", picture));
    }

    /// <summary>Equal bits: the arithmetic is the same, one rounding after another.</summary>
    static void Compare(Qwen2VlImageProcessor processor, SafetensorsFile expected, string sample, params string[] pictures)
    {
        var prepared = pictures.Select(path => processor.Prepare(ImageDecoder.Decode(File.ReadAllBytes(path), path))).ToArray();

        var grids = prepared.SelectMany(one => (long[])[one.Frames, one.GridHeight, one.GridWidth]).ToArray();
        Assert.Equal(expected.Load(sample + ".image_grid_thw").Span<long>().ToArray(), grids);
        var values = prepared.SelectMany(one => one.Patches.Span<float>().ToArray()).ToArray();
        var pixels = expected.Load(sample + ".pixel_values");
        Assert.Equal(pixels.Columns, prepared[0].Patches.Columns);
        Assert.Equal(pixels.Span<float>().ToArray(), values);
    }

    [Fact]
    public void Target_sizes_are_those_of_smart_resize()
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("models/_images/vision_preprocess.json")));
        var rows = json.RootElement.GetProperty("smart_resize").EnumerateArray().ToArray();
        Assert.Equal(80, rows.Length);
        foreach (var row in rows)
        {
            var processor = new Qwen2VlImageProcessor
            {
                PatchSize = row.GetProperty("factor").GetInt32() / 2,
                MinPixels = row.GetProperty("min_pixels").GetInt64(),
                MaxPixels = row.GetProperty("max_pixels").GetInt64(),
            };
            var (width, height) = processor.TargetSize(row.GetProperty("width").GetInt32(), row.GetProperty("height").GetInt32());
            Assert.Equal((row.GetProperty("result")[0].GetInt32(), row.GetProperty("result")[1].GetInt32()), (height, width));
        }
    }

    [Fact]
    public void Extreme_shapes_and_sizes_are_refused()
    {
        var processor = new Qwen2VlImageProcessor();
        Assert.Contains("200", Assert.Throws<ModelException>(() => processor.TargetSize(201, 1)).Message);
        processor.TargetSize(200, 1);
        var greedy = processor with { MinPixels = 1L << 40, MaxPixels = 1L << 41 };
        Assert.Contains("resized to", Assert.Throws<ModelException>(() => greedy.TargetSize(100, 100)).Message);
    }

    [Fact]
    public void Missing_and_null_values_have_the_defaults_of_Transformers()
    {
        var processor = Parse("""{"min_pixels": null, "size": null}""");
        Assert.Equal((14, 2, 2, 3136L, 1003520L), (processor.PatchSize, processor.MergeSize, processor.TemporalPatchSize,
            processor.MinPixels, processor.MaxPixels));
        Assert.Equal((true, Resampling.Bicubic, 1 / 255.0), (processor.Resizes, processor.Filter, processor.RescaleFactor));
        Assert.Equal([0.48145466f, 0.4578275f, 0.40821073f], processor.Mean);
        Assert.Equal([0.26862954f, 0.26130258f, 0.27577711f], processor.Deviation);
    }

    [Fact]
    public void Edges_are_numbers_of_pixels_and_min_and_max_pixels_win()
    {
        var edges = Parse(
            """{"size": {"shortest_edge": 65536, "longest_edge": 16777216}, "patch_size": 16, "image_mean": 0.5}""");
        Assert.Equal((65536L, 16777216L, 32), (edges.MinPixels, edges.MaxPixels, edges.Factor));
        Assert.Equal([0.5f, 0.5f, 0.5f], edges.Mean);
        Assert.Equal(9, Parse("""{"size": {"shortest_edge": 5, "longest_edge": 6}, "max_pixels": 9}""").MaxPixels);
        Assert.Equal(9, Parse("""{"image_processor": {"max_pixels": 9}}""").MaxPixels);
    }

    [Theory]
    [InlineData("""{"patch_size": 0}""", "patch_size")]
    [InlineData("""{"patch_size": 2.5}""", "patch_size")]
    [InlineData("""{"merge_size": "2"}""", "merge_size")]
    [InlineData("""{"resample": 0}""", "resample")]
    [InlineData("""{"do_resize": 1}""", "do_resize")]
    [InlineData("""{"image_mean": [1, 2]}""", "image_mean")]
    [InlineData("""{"image_std": [1, 2, "3"]}""", "image_std")]
    [InlineData("""{"size": {"height": 224, "width": 224}}""", "size")]
    [InlineData("""{"min_pixels": -1}""", "min_pixels")]
    [InlineData("""{"image_processor_type": "CLIPImageProcessor"}""", "image_processor_type")]
    [InlineData("""[]""", "object")]
    public void A_wrong_value_is_named(string json, string name)
    {
        var fault = Assert.Throws<ModelException>(() => Parse(json));
        Assert.StartsWith("p.json: ", fault.Message);
        Assert.Contains(name, fault.Message);
    }

    [Fact]
    public void Steps_can_be_switched_off()
    {
        var image = new Image(56, 28, [.. Enumerable.Range(0, 56 * 28 * 3).Select(i => (byte)i)]);
        var raw = Parse("""{"do_resize": false, "do_rescale": false, "do_normalize": false}""");

        var prepared = raw.Prepare(image);

        Assert.Equal((1, 2, 4), (prepared.Frames, prepared.GridHeight, prepared.GridWidth));
        var second = prepared.Patches.Row(1); // beside the first: both rows of a block come before the next block
        Assert.Equal(image.Rgb[3 * 14], second[0]);
        Assert.Equal(image.Rgb[3 * 15], second[1]);
        Assert.Equal(image.Rgb[3 * (56 + 14)], second[14]);
        Assert.Equal(image.Rgb[3 * 14], second[14 * 14]);
        Assert.Equal(image.Rgb[3 * 14 + 1], second[2 * 14 * 14]);
        Assert.Equal(image.Rgb[3 * 56 * 14], prepared.Patches.Row(2)[0]);
        Assert.Equal(image.Rgb[3 * 28], prepared.Patches.Row(4)[0]);
        Assert.Throws<ModelException>(() => raw.Prepare(new Image(28, 27, new byte[28 * 27 * 3])));
    }

    static Qwen2VlImageProcessor Load(string path)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        return Qwen2VlImageProcessor.Parse(json.RootElement, path);
    }

    static Qwen2VlImageProcessor Parse(string text)
    {
        using var json = JsonDocument.Parse(text);
        return Qwen2VlImageProcessor.Parse(json.RootElement, "p.json");
    }
}
