using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Calibration;

/// <summary>
/// What the scales of one attention module's cache are made of, for every kind of cache: the largest keys and values by modality, the
/// largest rotated keys likewise, and means of every channel with the largest distance from them. The means are over batches, each
/// counting alike, so they are not kept apart by modality.
/// </summary>
/// <param name="name">The attention module, for errors.</param>
public sealed class KeyValueStatistics(string name) : IKeyValueFilter
{
    readonly float[] keys = new float[2], rotated = new float[2], values = new float[2];
    int heads;

    /// <summary>Of which modality each token of the pass is that is running; null: all are text.</summary>
    public Func<int, Modality>? Modality { get; set; }

    /// <summary>Of which batch the pass is that is running.</summary>
    public int Batch { get; set; }

    /// <summary>The largest magnitude of a key.</summary>
    public float KeyAmax => keys.Max();

    /// <summary>The same after every head was rotated; 0 where a head's width is no power of two.</summary>
    public float RotatedKeyAmax => rotated.Max();

    public float ValueAmax => values.Max();

    /// <summary>Means by channel, and what is left without them; null before the first token.</summary>
    public CenteredCache? CentredKeys { get; private set; }

    public CenteredCache? CentredValues { get; private set; }

    public float KeyAmaxOf(Modality modality) => keys[(int)modality];

    public float ValueAmaxOf(Modality modality) => values[(int)modality];

    /// <summary>What the scale of the keys follows from in this format.</summary>
    public float KeyAmaxFor(KeyValueFormat format) =>
        format.Centred ? CentredKeys?.Amax ?? 0 : format.Rotates ? RotatedKeyAmax : KeyAmax;

    public float ValueAmaxFor(KeyValueFormat format) => format.Centred ? CentredValues?.Amax ?? 0 : ValueAmax;

    /// <summary>The mean of every channel of the keys, by head; empty before the first token.</summary>
    public IReadOnlyList<float[]> KeyBias() => Heads(CentredKeys);

    public IReadOnlyList<float[]> ValueBias() => Heads(CentredValues);

    /// <summary>Takes in the keys and values of one call.</summary>
    /// <param name="keyHeads">[T, heads, d], rotary embedding applied.</param>
    /// <param name="valueHeads">[T, heads, d].</param>
    /// <exception cref="QuantizationException">A value is NaN or infinite.</exception>
    public void Apply(Tensor keyHeads, Tensor valueHeads)
    {
        Largest(keyHeads, keys, "key");
        Largest(valueHeads, values, "value");
        if (keyHeads.Elements == 0)
            return;
        heads = (int)keyHeads.Shape[1];
        CentredKeys = Centre(keyHeads, CentredKeys);
        CentredValues = Centre(valueHeads, CentredValues);
        if (!System.Numerics.BitOperations.IsPow2(keyHeads.Columns))
            return;
        using var turned = keyHeads.Clone();
        Hadamard.Apply(turned);
        Largest(turned, rotated, "rotated key");
    }

    /// <summary>Takes in what another one saw.</summary>
    /// <exception cref="QuantizationException">They are of different widths.</exception>
    public void Merge(KeyValueStatistics other)
    {
        foreach (var (mine, theirs) in new[] { (keys, other.keys), (rotated, other.rotated), (values, other.values) })
            TensorPrimitives.Max(mine, theirs, mine);
        heads = Math.Max(heads, other.heads);
        CentredKeys = Merged(CentredKeys, other.CentredKeys);
        CentredValues = Merged(CentredValues, other.CentredValues);
    }

    /// <summary>The whole state.</summary>
    public IReadOnlyDictionary<string, Tensor> ToTensors()
    {
        var tensors = new Dictionary<string, Tensor>
        {
            ["key_amax"] = StatisticTensors.Of<float>(keys, DType.F32, 2),
            ["rotated_key_amax"] = StatisticTensors.Of<float>(rotated, DType.F32, 2),
            ["value_amax"] = StatisticTensors.Of<float>(values, DType.F32, 2),
            ["heads"] = StatisticTensors.Of<long>([heads], DType.I64, 1),
        };
        foreach (var (part, cache) in new[] { ("keys", CentredKeys), ("values", CentredValues) })
            foreach (var (key, tensor) in cache?.ToTensors() ?? new Dictionary<string, Tensor>())
                tensors[$"{part}/{key}"] = tensor;
        return tensors;
    }

    /// <summary>What <see cref="ToTensors"/> gave.</summary>
    /// <exception cref="QuantizationException">A tensor is missing, of another shape or type, or holds what no data could give.</exception>
    public static KeyValueStatistics FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var result = new KeyValueStatistics(name);
        foreach (var (key, target) in new[] { ("key_amax", result.keys), ("rotated_key_amax", result.rotated), ("value_amax", result.values) })
        {
            var values = tensors.Magnitudes(name, key);
            StatisticTensors.CheckSame(name, $"modalities ({key})", target.Length, values.Length);
            values.CopyTo(target, 0);
        }
        result.heads = tensors.Count(name, "heads") is var count && count <= int.MaxValue ? (int)count
            : throw new QuantizationException($"{name}: {count} heads are more than a model has");
        if (tensors.Below("keys") is { Count: > 0 } keyTensors)
            result.CentredKeys = result.Checked(CenteredCache.FromTensors($"{name}, keys", keyTensors));
        if (tensors.Below("values") is { Count: > 0 } valueTensors)
            result.CentredValues = result.Checked(CenteredCache.FromTensors($"{name}, values", valueTensors));
        return result;
    }

    CenteredCache Checked(CenteredCache cache) => heads > 0 && cache.Width % heads == 0 ? cache
        : throw new QuantizationException($"{name}: {cache.Width} channels are no multiple of {heads} heads");

    List<float[]> Heads(CenteredCache? cache) => cache is null ? [] : [.. cache.Bias().Chunk(cache.Width / heads)];

    static CenteredCache? Merged(CenteredCache? mine, CenteredCache? other)
    {
        if (mine is null || other is null)
            return mine ?? other;
        mine.Merge(other);
        return mine;
    }

    CenteredCache Centre(Tensor heads, CenteredCache? cache)
    {
        var width = (int)(heads.Elements / heads.Shape[0]);
        cache ??= new CenteredCache(name, width);
        cache.Observe(heads.Reshape(heads.Shape[0], width), Batch);
        return cache;
    }

    void Largest(Tensor heads, float[] amax, string what)
    {
        for (var row = 0; row < heads.Rows; row++)
        {
            var largest = MathF.Abs(TensorPrimitives.MaxMagnitude<float>(heads.Row(row)));
            if (!float.IsFinite(largest))
                throw new QuantizationException($"{name}: a {what} is {largest}; finite activations expected.");
            var kind = (int)(Modality?.Invoke((int)(row * heads.Shape[0] / heads.Rows)) ?? Calibration.Modality.Text);
            amax[kind] = Math.Max(amax[kind], largest);
        }
    }
}
