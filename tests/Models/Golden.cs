using Nibble.Export.Safetensors;
using Nibble.Models;
using Nibble.Models.Architectures;
using Nibble.Models.Config;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Models;

/// <summary>A recorded model: its network, its weights, and what another framework computed with them.</summary>
sealed class Golden : IDisposable
{
    readonly SafetensorsFile model, expected;

    Golden(string folder, string expectedFile)
    {
        model = SafetensorsFile.Open(Path.Combine(folder, "model.safetensors"));
        expected = SafetensorsFile.Open(Path.Combine(folder, expectedFile));
        var file = Path.Combine(folder, "config.json");
        Config = ModelConfig.Parse(File.ReadAllBytes(file), file);
        Network = Networks.Create(Config, model);
        Weights = new Weights(model);
    }

    public static Golden Model(string name) => new(Repository.Fixture("models/" + name), "expected.safetensors");

    public static Golden Shapes() => new(Repository.Path("samples/shapes-vlm"), "reference.safetensors");

    public ModelConfig Config { get; }

    public INetwork Network { get; }

    public Weights Weights { get; }

    public ITensorSource Source => model;

    public bool Has(string name) => expected.Find(name) is not null;

    public Tensor Tensor(string name) => expected.Load(name);

    /// <summary>A recorded tensor, integers as F32; for one of rank 3, only this entry of its first dimension.</summary>
    public Tensor Floats(string name, int batch = 0)
    {
        var tensor = expected.Load(name);
        if (tensor.DType == DType.I64)
            tensor = Nibble.Tensors.Tensor.From(
                [.. tensor.Span<long>().ToArray().Select(value => (float)value)], tensor.Shape.Dimensions);
        return tensor.Shape.Rank < 3 ? tensor
            : tensor.Slice(batch, 1).Reshape(tensor.Shape.Dimensions[1..]);
    }

    /// <summary>One row of a recorded I64 tensor.</summary>
    public int[] Ints(string name, int row = 0) =>
        [.. expected.Load(name).Row<long>(row).ToArray().Select(value => checked((int)value))];

    /// <summary>A recorded input with its pictures.</summary>
    public Sample Sample(string prefix)
    {
        if (!Has(prefix + "pixel_values"))
            return new Sample(Ints(prefix + "input_ids"));
        var pixels = Tensor(prefix + "pixel_values");
        var images = new List<ImagePatches>();
        var start = 0;
        for (var i = 0; i < Tensor(prefix + "image_grid_thw").Shape[0]; i++)
        {
            var grid = Ints(prefix + "image_grid_thw", i);
            var patches = grid[0] * grid[1] * grid[2];
            images.Add(new ImagePatches(pixels.Slice(start, patches), grid[0], grid[1], grid[2]));
            start += patches;
        }
        return new Sample(Ints(prefix + "input_ids"), images);
    }

    public void Dispose()
    {
        model.Dispose();
        expected.Dispose();
    }
}
