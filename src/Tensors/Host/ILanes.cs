namespace Nibble.Tensors.Host;

/// <summary>
/// One vector register of floats, as the kernels see it. Kernels are generic over it and compiled once per width, so there is one
/// text for every level of the ladder.
/// </summary>
unsafe interface ILanes<V> where V : struct
{
    /// <summary>Floats in one register.</summary>
    static abstract int Width { get; }

    /// <summary>Rows of the largest tile whose 2 · rows accumulators fit in the register file.</summary>
    static abstract int TileRows { get; }

    /// <summary>Tokens a dot-product tile of four weight rows can carry without spilling.</summary>
    static abstract int TileTokens { get; }

    static abstract V Load(float* source);

    /// <summary>Widens BF16 bits.</summary>
    static abstract V LoadBF16(ushort* source);

    /// <summary>Widens F16 bits, exactly, subnormals included.</summary>
    static abstract V LoadF16(ushort* source);

    static abstract void Store(V value, float* destination);

    static abstract V All(float value);

    static abstract V Add(V left, V right);

    /// <summary>left · right + addend, with one rounding where the machine can.</summary>
    static abstract V MultiplyAdd(V left, V right, V addend);

    static abstract float Sum(V value);

    /// <summary>
    /// Element k of row i of a Width × Width block goes to destination[k · pitch + i]. Rows of the source are
    /// <paramref name="stride"/> elements apart.
    /// </summary>
    static abstract void Transpose<E, T>(T* source, nint stride, float* destination, nint pitch)
        where E : struct, IElement<T> where T : unmanaged;
}
