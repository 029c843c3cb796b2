using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Nibble.Quant.Formats;

/// <summary>Activations as signed bytes under one calibrated scale, amax / 127; ties to even, -128 to 127.</summary>
public sealed record Int8PerTensor() : ActivationFormat("int8-tensor")
{
    public override bool NeedsAmax => true;

    public override float Scale(float amax) => Amax.ForScale(amax, 127) / 127;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Round(Span<float> row, float scale)
    {
        ref var target = ref MemoryMarshal.GetReference(row);
        var (low, high, scales) = (Vector512.Create(-128f), Vector512.Create(127f), Vector512.Create(scale));
        var i = 0;
        for (; i <= row.Length - 16; i += 16)
        {
            var code = Vector512.Clamp(Vector512.Round(Vector512.LoadUnsafe(ref target, (nuint)i) / scales), low, high);
            (code * scales).StoreUnsafe(ref target, (nuint)i);
        }
        for (; i < row.Length; i++)
            row[i] = Math.Clamp(MathF.Round(row[i] / scale), -128, 127) * scale;
    }
}
