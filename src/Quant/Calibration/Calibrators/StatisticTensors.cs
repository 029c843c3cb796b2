using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>Reading the tensors of a statistic, every one of which may lie, and checks of activations.</summary>
static class StatisticTensors
{
    public static Tensor Of<T>(ReadOnlySpan<T> values, DType type, params ReadOnlySpan<long> dimensions) where T : unmanaged
    {
        var tensor = Tensor.Empty(new Shape(dimensions), type);
        values.CopyTo(tensor.Span<T>());
        return tensor;
    }

    /// <summary>Those whose names begin with this and a slash, without it.</summary>
    public static IReadOnlyDictionary<string, Tensor> Below(this IReadOnlyDictionary<string, Tensor> tensors, string name) => tensors
        .Where(tensor => tensor.Key.StartsWith(name + "/", StringComparison.Ordinal))
        .ToDictionary(tensor => tensor.Key[(name.Length + 1)..], tensor => tensor.Value);

    /// <summary>A tensor of this type and rank.</summary>
    public static Tensor Get(
        this IReadOnlyDictionary<string, Tensor> tensors, string name, string key, DType type, int rank)
    {
        if (!tensors.TryGetValue(key, out var tensor))
            throw new QuantizationException($"{name}: the statistic has no tensor '{key}'");
        if (tensor.DType != type || tensor.Shape.Rank != rank)
            throw new QuantizationException($"{name}: {key} must be {type.Name()} of {rank} dimensions, found {tensor}");
        return tensor;
    }

    /// <summary>Magnitudes or sums of them: finite, none negative.</summary>
    public static float[] Magnitudes(this IReadOnlyDictionary<string, Tensor> tensors, string name, string key)
    {
        float[] values = [.. tensors.Get(name, key, DType.F32, 1).Span<float>()];
        foreach (var value in values)
            if (!(value >= 0 && float.IsFinite(value)))
                throw new QuantizationException($"{name}: {key} must hold magnitudes, found {value}");
        return values;
    }

    /// <summary>Counts, none negative, whose sum is below 2^62.</summary>
    public static long[] Counts(this IReadOnlyDictionary<string, Tensor> tensors, string name, string key)
    {
        long[] counts = [.. tensors.Get(name, key, DType.I64, 1).Span<long>()];
        var total = 0L;
        foreach (var count in counts)
        {
            if (count < 0 || count > (1L << 62) - total)
                throw new QuantizationException($"{name}: {key} must hold counts whose sum is at most 2^62, found {count}");
            total += count;
        }
        return counts;
    }

    public static long Count(this IReadOnlyDictionary<string, Tensor> tensors, string name, string key) =>
        tensors.Counts(name, key) is [var count]
            ? count
            : throw new QuantizationException($"{name}: {key} must be one count, found {tensors[key]}");

    /// <summary>Sums of products: F32 or F64, finite.</summary>
    public static T[] Sums<T>(this IReadOnlyDictionary<string, Tensor> tensors, string name, string key, DType type, int rank)
        where T : unmanaged, System.Numerics.INumberBase<T>
    {
        T[] values = [.. tensors.Get(name, key, type, rank).Span<T>()];
        foreach (var value in values)
            if (!T.IsFinite(value))
                throw new QuantizationException($"{name}: {key} must hold finite numbers, found {value}");
        return values;
    }

    /// <summary>
    /// Refuses activations of another width or type, and returns their largest magnitude, which must be finite.
    /// </summary>
    public static float CheckActivations(string name, Tensor x, int width)
    {
        if (x.DType != DType.F32 || (width > 0 && x.Columns != width))
            throw new QuantizationException($"{name}: F32 activations of {width} columns expected, found {x}");
        var largest = 0f;
        for (var row = 0; row < x.Rows; row++)
        {
            var amax = Amax.Of(x.Row(row));
            if (!float.IsFinite(amax))
                throw new QuantizationException($"{name}: an input is {amax} (token {row}); finite activations expected");
            largest = Math.Max(largest, amax);
        }
        return largest;
    }

    public static void CheckSame(string name, string what, long mine, long other)
    {
        if (mine != other)
            throw new QuantizationException($"{name}: statistics of {mine} and of {other} {what} cannot be merged");
    }
}
