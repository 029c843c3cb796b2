using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>Keys and values of one sequence, layer by layer.</summary>
public sealed class KvCache(IReadOnlyList<KvLayer> layers) : IDisposable
{
    public IReadOnlyList<KvLayer> Layers => layers;

    /// <summary>Tokens cached so far.</summary>
    public int Length => layers.Count == 0 ? 0 : layers[0].Length;

    /// <summary>The position the next token gets. Not <see cref="Length"/> after pictures with multimodal positions.</summary>
    public int NextPosition { get; set; }

    /// <summary>Bytes of the keys and values, room to grow included.</summary>
    public long Bytes => layers.Sum(layer => layer.Bytes);

    public void Dispose()
    {
        foreach (var layer in layers)
            layer.Dispose();
    }
}

/// <summary>Keys and values of one attention layer in F32, growing by doubling.</summary>
public sealed class KvLayer(int keyValueHeads, int headWidth, int capacity = 0) : IDisposable
{
    Tensor keys = Tensor.Empty(capacity, keyValueHeads, headWidth), values = Tensor.Empty(capacity, keyValueHeads, headWidth);

    public int Length { get; private set; }

    public long Bytes => keys.Bytes + values.Bytes;

    /// <summary>Adds [T, G, d] keys and values and returns all of them, [S, G, d]: views until the next call.</summary>
    public (Tensor Keys, Tensor Values) Append(Tensor newKeys, Tensor newValues)
    {
        var added = (int)newKeys.Shape[0];
        Grow(checked(Length + added));
        newKeys.Span<float>().CopyTo(keys.Slice(Length, added).Span<float>());
        newValues.Span<float>().CopyTo(values.Slice(Length, added).Span<float>());
        Length += added;
        return (keys.Slice(0, Length), values.Slice(0, Length));
    }

    public void Dispose()
    {
        keys.Dispose();
        values.Dispose();
    }

    void Grow(int needed)
    {
        if (needed <= keys.Shape[0])
            return;
        var room = (int)Math.Max(needed, Math.Min(2 * keys.Shape[0], int.MaxValue));
        keys = Copy(keys, room);
        values = Copy(values, room);
    }

    Tensor Copy(Tensor old, int room)
    {
        var grown = Tensor.Empty(room, keyValueHeads, headWidth);
        old.Slice(0, Length).Span<float>().CopyTo(grown.Span<float>());
        old.Dispose();
        return grown;
    }
}
