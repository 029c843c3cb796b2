using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Nibble.Tensors;

namespace Nibble.Quant.Formats;

/// <summary>
/// MXFP4: E2M1 under a shared power of two per 32 inputs. Codes are rounded as ModelOpt 0.47 exports them: ties toward zero (0.75
/// becomes 0.5), and the sign bit says w ≤ 0, so that zero is the code 8.
/// </summary>
public sealed record MxFp4() : NibbleFormat("mxfp4-b32", SharedExponent.Block)
{
    public override DType? ScaleType => DType.F8E8M0;

    public override bool HasTensorScale => false;

    internal override ReadOnlySpan<float> Numbers => Float4.E2M1;

    public override float TensorScale(float amax) => 1;

    public override void ScaleRow(ReadOnlySpan<float> row, float tensorScale, Span<byte> scales) =>
        SharedExponent.ScaleRow(row, Float4.LargestE2M1, scales);

    internal override int Nearest(float ratio)
    {
        var code = ratio > 0 ? 0 : 8;
        foreach (var bound in Bounds)
            code += MathF.Abs(ratio) > bound ? 1 : 0;
        return code;
    }

    internal override void DecodeScales(ReadOnlySpan<byte> scales, float tensorScale, Span<float> groups) =>
        SharedExponent.Decode(scales, groups);

    internal override void CodeGroups(ReadOnlySpan<float> row, ReadOnlySpan<float> groups, Span<byte> codes) =>
        Nibbles.Encode<Encoder>(row, groups, Group, codes);

    /// <summary>Half way between neighbouring numbers.</summary>
    static ReadOnlySpan<float> Bounds => [0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5];

    readonly struct Encoder : Nibbles.IEncoder
    {
        // Not inlined: where 512 bits are two halves, the loop around it would exceed what the compiler inlines, and be six times slower.
        [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
        public static Vector512<uint> Code(Vector512<float> ratios)
        {
            var magnitude = Vector512.Abs(ratios);
            var code = Vector512.LessThanOrEqual(ratios, Vector512<float>.Zero).AsUInt32() & Vector512.Create(8u);
            code -= Vector512.GreaterThan(magnitude, Vector512.Create(0.25f)).AsUInt32(); // a true lane is -1
            code -= Vector512.GreaterThan(magnitude, Vector512.Create(0.75f)).AsUInt32();
            code -= Vector512.GreaterThan(magnitude, Vector512.Create(1.25f)).AsUInt32();
            code -= Vector512.GreaterThan(magnitude, Vector512.Create(1.75f)).AsUInt32();
            code -= Vector512.GreaterThan(magnitude, Vector512.Create(2.5f)).AsUInt32();
            code -= Vector512.GreaterThan(magnitude, Vector512.Create(3.5f)).AsUInt32();
            return code - Vector512.GreaterThan(magnitude, Vector512.Create(5f)).AsUInt32();
        }
    }
}
