namespace Nibble.Tensors.Ops;

/// <summary>Sums and products, element by element. The result may be either input.</summary>
public static class Elementwise
{
    const double NanosecondsEach = 0.15;

    /// <summary>result = x + y.</summary>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Add(Tensor x, Tensor y, Tensor result)
    {
        Check(x, y, result);
        Work.Pieces(x.Elements, NanosecondsEach, (start, length) => TensorPrimitives.Add(
            Lanewise.Part(x, start, length), Lanewise.Part(y, start, length), Lanewise.Part(result, start, length)));
    }

    /// <summary>x = x + y.</summary>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void AddInPlace(Tensor x, Tensor y) => Add(x, y, x);

    /// <summary>result = x · y.</summary>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Multiply(Tensor x, Tensor y, Tensor result)
    {
        Check(x, y, result);
        Work.Pieces(x.Elements, NanosecondsEach, (start, length) => TensorPrimitives.Multiply(
            Lanewise.Part(x, start, length), Lanewise.Part(y, start, length), Lanewise.Part(result, start, length)));
    }

    /// <summary>result = x · factor.</summary>
    /// <exception cref="ShapeException">The shapes or types differ, or are not F32.</exception>
    public static void Scale(Tensor x, float factor, Tensor result)
    {
        Expect.Type(x, DType.F32);
        Expect.Same(result, x);
        Work.Pieces(x.Elements, NanosecondsEach, (start, length) => TensorPrimitives.Multiply(
            Lanewise.Part(x, start, length), factor, Lanewise.Part(result, start, length)));
    }

    static void Check(Tensor x, Tensor y, Tensor result)
    {
        Expect.Type(x, DType.F32);
        Expect.Same(y, x);
        Expect.Same(result, x);
    }
}
