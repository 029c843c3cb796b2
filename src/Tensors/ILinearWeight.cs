namespace Nibble.Tensors;

/// <summary>A matrix whose rows can be decoded to floats piece by piece.</summary>
public interface IWeightRows
{
    int Rows { get; }

    int Columns { get; }

    /// <summary>Writes W[row, column .. column + destination.Length) as F32. Safe to call from several threads.</summary>
    void Decode(int row, int column, Span<float> destination);
}

/// <summary>Some stored form of a weight W [out, in] that can be multiplied with.</summary>
public interface ILinearWeight : IWeightRows
{
    /// <summary>Bytes the stored form occupies.</summary>
    long Bytes { get; }

    /// <summary>y = x·Wᵀ with x [T, in] and y [T, out], both F32. The form may quantize x first, as its format says.</summary>
    void Multiply(Tensor x, Tensor y);
}

/// <summary>Changes keys and values on their way into the cache, in place: quantize and dequantize, or only look.</summary>
public interface IKeyValueFilter
{
    /// <param name="keys">[T, G, d] after the rotary embedding.</param>
    /// <param name="values">[T, G, d].</param>
    void Apply(Tensor keys, Tensor values);
}
