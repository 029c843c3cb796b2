using System.Buffers;
using Nibble.Tensors;

namespace Nibble.Export.Verification;

/// <summary>Rules on the numbers themselves. Every byte of the checkpoint is read once, and its pages given up again.</summary>
static class ValueRules
{
    const int Stretch = 1 << 16;

    static readonly SearchValues<byte> NaNs = SearchValues.Create([0x7F, 0xFF]);

    static readonly SearchValues<byte> BadExponents = SearchValues.Create([0xFF]);

    static readonly SearchValues<byte> BadBlockScales =
        SearchValues.Create([0, 0x7F, .. Enumerable.Range(0x80, 0x80).Select(value => (byte)value)]);

    /// <summary>Scales and factors in plain types are finite and above zero: a program divides by them.</summary>
    public static IEnumerable<Finding> ScalesPositive(VerifiedCheckpoint checkpoint)
    {
        foreach (var tensor in checkpoint.Folder.Tensors)
            if ((tensor.DType == DType.F32 ? IsScale(tensor.Name)
                : tensor.DType is DType.BF16 or DType.F16 && tensor.Name.EndsWith(".pre_quant_scale", StringComparison.Ordinal))
                && Worst(checkpoint.Folder.Load(tensor.Name)) is { } value)
                yield return new(tensor.Name, "scales-positive", "finite numbers above 0", $"{value}");
    }

    /// <summary>Block scales are numbers above zero: E4M3 neither 0 nor negative nor NaN, E8M0 not NaN.</summary>
    public static IEnumerable<Finding> BlockScalesValid(VerifiedCheckpoint checkpoint)
    {
        foreach (var (module, format) in checkpoint.Quantized)
        {
            var name = $"{module}.weight_scale";
            if (format.Group <= 0 || checkpoint.Spec(name) is not { } scale || scale.DType != format.ScaleType
                || scale.DType == DType.F32)
                continue;
            if (FirstOf(checkpoint.Folder.Load(name), scale.DType == DType.U8 ? BadExponents : BadBlockScales) is var (at, value))
                yield return new(name, "block-scales-valid", "numbers above 0", $"byte 0x{value:X2} at {at}");
        }
    }

    /// <summary>FP8 codes are not NaN.</summary>
    public static IEnumerable<Finding> CodesAreNumbers(VerifiedCheckpoint checkpoint)
    {
        foreach (var tensor in checkpoint.Folder.Tensors)
            if (tensor.DType == DType.F8E4M3 && tensor.Name.EndsWith(".weight", StringComparison.Ordinal)
                && FirstOf(checkpoint.Folder.Load(tensor.Name), NaNs) is var (at, value))
                yield return new(tensor.Name, "codes-are-numbers", "no NaN", $"byte 0x{value:X2} at {at}");
    }

    /// <summary>Plain tensors are finite.</summary>
    public static IEnumerable<Finding> PlainFinite(VerifiedCheckpoint checkpoint)
    {
        foreach (var tensor in checkpoint.Folder.Tensors)
            if (tensor.DType is DType.F32 or DType.BF16 or DType.F16 && !IsScale(tensor.Name)
                && FirstNotFinite(checkpoint.Folder.Load(tensor.Name)) is var at and >= 0)
                yield return new(tensor.Name, "plain-finite", "finite numbers", $"an infinity or NaN at {at}");
    }

    static bool IsScale(string name) => name.Contains("_scale", StringComparison.Ordinal);

    static float? Worst(Tensor tensor)
    {
        var buffer = new float[(int)Math.Min(Stretch, tensor.Elements)];
        for (var start = 0L; start < tensor.Elements; start += buffer.Length)
        {
            var values = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.Elements - start));
            Tensors.Convert.ToF32(tensor, start, values);
            foreach (var value in values)
                if (!(float.IsFinite(value) && value > 0))
                    return value;
        }
        tensor.Evict();
        return null;
    }

    static unsafe (long At, byte Value)? FirstOf(Tensor tensor, SearchValues<byte> bad)
    {
        for (var start = 0L; start < tensor.Bytes; start += Stretch)
        {
            var bytes = new ReadOnlySpan<byte>(tensor.Pointer + start, (int)Math.Min(Stretch, tensor.Bytes - start));
            if (bytes.IndexOfAny(bad) is var at and >= 0)
                return (start + at, bytes[at]);
        }
        tensor.Evict();
        return null;
    }

    static long FirstNotFinite(Tensor tensor)
    {
        var buffer = new float[(int)Math.Min(Stretch, tensor.Elements)];
        for (var start = 0L; start < tensor.Elements; start += buffer.Length)
        {
            var values = buffer.AsSpan(0, (int)Math.Min(buffer.Length, tensor.Elements - start));
            Tensors.Convert.ToF32(tensor, start, values);
            if (TensorPrimitives.IsFiniteAll<float>(values))
                continue;
            for (var i = 0; i < values.Length; i++)
                if (!float.IsFinite(values[i]))
                    return start + i;
        }
        tensor.Evict();
        return -1;
    }
}
