namespace Nibble.Tensors;

/// <summary>The element types a program can address. A quantization format is not a <see cref="DType"/>.</summary>
public enum DType
{
    F32,
    F16,
    BF16,
    F64,
    I32,
    I64,
    U8,
    I8,
    F8E4M3,
    F8E5M2,
    F8E8M0,
    Bool,
}

/// <summary>Sizes and the names safetensors uses.</summary>
public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Bytes(this DType type) => type switch
    {
        DType.F64 or DType.I64 => 8,
        DType.F32 or DType.I32 => 4,
        DType.F16 or DType.BF16 => 2,
        _ => 1,
    };

    /// <summary>The name in a safetensors header, like <c>F8_E4M3</c>.</summary>
    public static string Name(this DType type) => type switch
    {
        DType.F8E4M3 => "F8_E4M3",
        DType.F8E5M2 => "F8_E5M2",
        DType.F8E8M0 => "F8_E8M0",
        DType.Bool => "BOOL",
        _ => type.ToString(),
    };

    /// <summary>The type with this safetensors name, or null where this library has none.</summary>
    public static DType? Parse(string name) => name switch
    {
        "F32" => DType.F32,
        "F16" => DType.F16,
        "BF16" => DType.BF16,
        "F64" => DType.F64,
        "I32" => DType.I32,
        "I64" => DType.I64,
        "U8" => DType.U8,
        "I8" => DType.I8,
        "F8_E4M3" => DType.F8E4M3,
        "F8_E5M2" => DType.F8E5M2,
        "F8_E8M0" => DType.F8E8M0,
        "BOOL" => DType.Bool,
        _ => null,
    };
}
