using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>Plain tensors of a given element type.</summary>
static class PlainNumbers
{
    /// <exception cref="ArgumentException">Another number of elements, or a number the type cannot hold.</exception>
    public static Tensor Of(TensorSpec spec, ReadOnlySpan<float> values)
    {
        if (values.Length != spec.Shape.Elements)
            throw new ArgumentException($"{spec.Name}: {spec.Shape} expected; got {values.Length} numbers", nameof(values));
        var tensor = Tensor.Empty(spec.Shape, spec.DType);
        switch (spec.DType)
        {
            case DType.F32:
                values.CopyTo(tensor.Span<float>());
                break;
            case DType.BF16:
                Nibble.Tensors.Convert.ToBF16(values, tensor.Span<ushort>());
                break;
            case DType.F16:
                TensorPrimitives.ConvertToHalf(values, tensor.Span<Half>());
                break;
            default:
                throw new ArgumentException($"{spec.Name}: {spec.DType.Name()} is no type of plain numbers", nameof(spec));
        }
        using var stored = Nibble.Tensors.Convert.ToF32(tensor);
        var bad = Array.FindIndex(stored.Span<float>().ToArray(), value => !float.IsFinite(value));
        return bad < 0 ? tensor
            : throw new ArgumentException($"{spec.Name}: {values[bad]} at {bad} has no place among {spec.DType.Name()}", nameof(values));
    }

    /// <summary>The same numbers; a tensor of that type already is taken as it is.</summary>
    public static Tensor Of(TensorSpec spec, Tensor tensor)
    {
        if (tensor.Shape != spec.Shape)
            throw new ArgumentException($"{spec.Name}: {spec.Shape} expected; got {tensor}", nameof(tensor));
        if (tensor.DType == spec.DType)
            return tensor;
        using var values = Nibble.Tensors.Convert.ToF32(tensor);
        return Of(spec, values.Span<float>());
    }
}
