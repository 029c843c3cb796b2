using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>Keys and values of one sequence, layer by layer.</summary>
public sealed class KvCache(IReadOnlyList<KvLayer> layers)
{
    public IReadOnlyList<KvLayer> Layers => layers;

    /// <summary>Tokens cached so far.</summary>
    public int Length => layers.Count == 0 ? 0 : layers[0].Length;

    /// <summary>The position the next token gets. Differs from <see cref="Length"/> after pictures with multimodal positions.</summary>
    public int NextPosition { get; set; }
}

/// <summary>Keys and values of one attention layer, growing by doubling.</summary>
public sealed class KvLayer(int keyValueHeads, int headWidth)
{
    Tensor keys = Tensor.Empty(0, keyValueHeads, headWidth), values = Tensor.Empty(0, keyValueHeads, headWidth);

    public int Length { get; private set; }

    /// <summary>Adds [T, G, d] keys and values and returns all of them, [S, G, d].</summary>
    public (Tensor Keys, Tensor Values) Append(Tensor newKeys, Tensor newValues)
    {
        var added = (int)newKeys.Shape[0];
        Grow(Length + added);
        newKeys.Span<float>().CopyTo(keys.Slice(Length, added).Span<float>());
        newValues.Span<float>().CopyTo(values.Slice(Length, added).Span<float>());
        Length += added;
        return (keys.Slice(0, Length), values.Slice(0, Length));
    }

    void Grow(int needed)
    {
        if (needed <= keys.Shape[0])
            return;
        var capacity = Math.Max(needed, 2 * (int)keys.Shape[0]);
        keys = Copy(keys, capacity);
        values = Copy(values, capacity);
    }

    Tensor Copy(Tensor old, int capacity)
    {
        var grown = Tensor.Empty(capacity, keyValueHeads, headWidth);
        old.Slice(0, Length).Span<float>().CopyTo(grown.Span<float>());
        return grown;
    }
}
