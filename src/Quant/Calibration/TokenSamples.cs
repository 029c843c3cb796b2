using Nibble.Models;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>
/// Samples recorded as tensors: <c>input_ids.i</c> I64 [B, T] with optional <c>pixel_values.i</c> F32 [patches, values] and
/// <c>image_grid_thw.i</c> I64 [pictures, 3] for i = 0, 1, … Each row of a batch is one sample; pictures belong to a batch of one.
/// </summary>
public sealed class TokenSamples : ISampleSource
{
    readonly List<(int Batch, int Row)> index = [];
    readonly ITensorSource source;
    readonly string origin;

    /// <exception cref="QuantizationException">There is no <c>input_ids.0</c>, or its shape is not [B, T].</exception>
    public TokenSamples(ITensorSource source, string origin)
    {
        this.source = source;
        this.origin = origin;
        for (var batch = 0; source.Find($"input_ids.{batch}") is { } ids; batch++)
        {
            if (ids.Shape.Rank != 2 || ids.DType is not (DType.I64 or DType.I32))
                throw new QuantizationException($"{origin}: input_ids.{batch}: I64 [B, T] expected, found {ids.DType.Name()} {ids.Shape}.");
            if (source.Find($"pixel_values.{batch}") is not null && ids.Shape[0] != 1)
                throw new QuantizationException($"{origin}: input_ids.{batch}: one row expected beside pixel_values, found {ids.Shape}.");
            for (var row = 0; row < ids.Shape[0]; row++)
                index.Add((batch, row));
        }
        if (index.Count == 0)
            throw new QuantizationException($"{origin}: no tensor input_ids.0; expected input_ids.0, input_ids.1, ….");
    }

    public int Count => index.Count;

    public Sample Load(int sample)
    {
        var (batch, row) = index[sample];
        var ids = source.Load($"input_ids.{batch}");
        return new Sample(Ids(ids.Slice(row, 1)), Pictures(batch));
    }

    public int Batch(int sample) => index[sample].Batch;

    /// <summary>Looks at every token before any is used.</summary>
    /// <exception cref="QuantizationException">One is not in the vocabulary; names the tensor and the place.</exception>
    public void Check(int vocabulary)
    {
        foreach (var batch in index.Select(entry => entry.Batch).Distinct())
        {
            var ids = Ids(source.Load($"input_ids.{batch}"));
            if (Array.FindIndex(ids, id => (uint)id >= (uint)vocabulary) is var at and >= 0)
                throw new QuantizationException(
                    $"{origin}: input_ids.{batch}: tokens from 0 to {vocabulary - 1} expected, found {ids[at]} at position {at}.");
        }
    }

    /// <summary>Integers of any width as token ids; those beyond 32 bits become -1, which is no token.</summary>
    public static int[] Ids(Tensor tensor) => tensor.DType == DType.I64
        ? [.. tensor.Span<long>().ToArray().Select(id => id is >= 0 and <= int.MaxValue ? (int)id : -1)]
        : tensor.Span<int>().ToArray();

    List<ImagePatches> Pictures(int batch)
    {
        if (source.Find($"pixel_values.{batch}") is null)
            return [];
        if (source.Find($"image_grid_thw.{batch}") is null)
            throw new QuantizationException($"{origin}: pixel_values.{batch} without image_grid_thw.{batch}.");
        Expect($"pixel_values.{batch}", "F32 [patches, values]", spec => spec.DType == DType.F32 && spec.Shape.Rank == 2);
        Expect($"image_grid_thw.{batch}", "I64 [pictures, 3]",
            spec => spec.DType is DType.I64 or DType.I32 && spec.Shape.Rank == 2 && spec.Shape[1] == 3);
        return Pictures(
            source.Load($"pixel_values.{batch}"), source.Load($"image_grid_thw.{batch}"), $"{origin}: image_grid_thw.{batch}");
    }

    void Expect(string name, string expected, Func<TensorSpec, bool> holds)
    {
        var spec = source.Find(name)!;
        if (!holds(spec))
            throw new QuantizationException($"{origin}: {name}: {expected} expected, found {spec.DType.Name()} {spec.Shape}.");
    }

    /// <summary>Cuts the patches of several pictures apart.</summary>
    /// <param name="patches">[patches, values] F32.</param>
    /// <param name="grids">[pictures, 3]: frames, height, width.</param>
    public static List<ImagePatches> Pictures(Tensor patches, Tensor grids, string where)
    {
        var grid = Ids(grids);
        var pictures = new List<ImagePatches>();
        long start = 0;
        for (var i = 0; i + 2 < grid.Length; i += 3)
        {
            var count = (long)grid[i] * grid[i + 1] * grid[i + 2];
            if (count <= 0 || start + count > patches.Shape[0])
                throw new QuantizationException($"{where}: {start + count} patches expected, pixel_values has {patches.Shape}.");
            pictures.Add(new ImagePatches(patches.Slice(start, count), grid[i], grid[i + 1], grid[i + 2]));
            start += count;
        }
        return start == patches.Shape[0] ? pictures
            : throw new QuantizationException($"{where}: {start} patches expected, pixel_values has {patches.Shape}.");
    }
}
