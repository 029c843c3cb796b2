namespace Nibble.Tensors.Ops;

/// <summary>A weight matrix [out, in] stored as plain numbers: F32, BF16 or F16 as they are, F64 rounded to F32.</summary>
/// <exception cref="ShapeException">The tensor is no matrix, or its elements are no plain numbers.</exception>
public sealed class DenseWeight(Tensor weight) : ILinearWeight
{
    /// <summary>The stored matrix.</summary>
    public Tensor Weight { get; } = Check(weight);

    public int Rows => (int)Weight.Shape[0];

    public int Columns => Weight.Columns;

    public long Bytes => Weight.Bytes;

    public void Decode(int row, int column, Span<float> destination)
    {
        if ((uint)row >= (uint)Rows || column < 0 || column > Columns - destination.Length)
            throw new ShapeException(
                $"DenseWeight: {Weight} has no row {row} with columns {column} to {column + destination.Length}.");
        Convert.ToF32(Weight, (long)row * Columns + column, destination);
    }

    public void Multiply(Tensor x, Tensor y) => MatMul.Apply(x, Weight, y);

    static Tensor Check(Tensor weight)
    {
        Expect.Matrix(weight);
        return weight.DType switch
        {
            DType.F32 or DType.BF16 or DType.F16 => weight,
            DType.F64 => Convert.ToF32(weight),
            _ => throw new ShapeException($"DenseWeight: weight must be F32, BF16, F16 or F64; got weight = {weight}."),
        };
    }
}
