using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>The grid of a format whose codes are E2M1 or E4M3.</summary>
sealed class FloatGrid : Grid
{
    /// <summary>Block scales a search tries: so many E4M3 codes around the one of the largest magnitude, from this many below.</summary>
    const int BlockCandidates = 16, Below = 7;

    /// <summary>Instead of 448: leaves room for block scales above the standard one.</summary>
    const double SearchedLargestScale = 256;

    // So that no scale of tiny weights is 0.
    const float SmallestScale = 1.17549435e-38f;

    readonly WeightFormat format;
    readonly NibbleFormat? nibbles;

    public FloatGrid(WeightFormat format)
    {
        this.format = format;
        nibbles = format as NibbleFormat;
        Candidates = format.ScaleType switch
        {
            DType.F8E4M3 => BlockCandidates,
            DType.F8E8M0 => 3,
            DType.F32 => 80,
            _ => 1,
        };
    }

    public override int Candidates { get; }

    public override double SearchPower => 2;

    float LargestCode => nibbles is null ? Float8.LargestE4M3 : Float4.LargestE2M1;

    public override int GroupOf(int columns) => format.Group > 0 ? format.Group : columns;

    public override float TensorScale(double amax, bool searched) =>
        format is NvFp4 { InFp8: false } && amax > 0 ? Positive(amax / (Float4.LargestE2M1 * (searched ? SearchedLargestScale : Float8.LargestE4M3)))
        : format is Fp8 && amax > 0 ? Positive(amax / Float8.LargestE4M3)
        : format.TensorScale((float)amax);

    public override GroupScale Standard(WeightRange range, float tensorScale) => format.ScaleType switch
    {
        DType.F8E4M3 => BlockScale(StandardBlock(range, tensorScale), tensorScale),
        DType.F8E8M0 => PowerScale(StandardPower(range)),
        DType.F32 => RowScale(range, 0),
        _ => new(tensorScale),
    };

    public override GroupScale Candidate(WeightRange range, float tensorScale, int index) => format.ScaleType switch
    {
        DType.F8E4M3 => BlockScale(StandardBlock(range, tensorScale) + index - Below, tensorScale),
        DType.F8E8M0 => PowerScale(StandardPower(range) + index - 1),
        DType.F32 => RowScale(range, index),
        _ => new(tensorScale),
    };

    public override int Code(double weight, in GroupScale scale)
    {
        var ratio = (float)(weight / scale.Scale);
        return nibbles?.Nearest(ratio) ?? Float8.ToE4M3(ratio);
    }

    public override double Value(int code, in GroupScale scale) =>
        (double)(nibbles is null ? Float8.FromE4M3((byte)code) : nibbles.Numbers[code]) * scale.Scale;

    public override void Round(ReadOnlySpan<float> weights, in GroupScale scale, Span<float> rounded)
    {
        if (nibbles is null)
        {
            Span<byte> bytes = stackalloc byte[256];
            for (var done = 0; done < weights.Length; done += bytes.Length)
            {
                var part = weights[done..Math.Min(weights.Length, done + bytes.Length)];
                Float8.EncodeE4M3(part, scale.Scale, bytes[..part.Length]);
                Float8.DecodeE4M3(bytes[..part.Length], scale.Scale, rounded.Slice(done, part.Length));
            }
            return;
        }
        var half = weights.Length / 2;
        var packed = half <= 64 ? stackalloc byte[half] : new byte[half];
        ReadOnlySpan<float> group = [scale.Scale];
        nibbles.CodeGroups(weights, group, packed);
        Nibbles.Decode(packed, group, weights.Length, 0, nibbles.Numbers, rounded[..weights.Length]);
    }

    static int StandardBlock(WeightRange range, float tensorScale) =>
        range.Amax == 0 ? Float8.ToE4M3(1) : Float8.ToE4M3((float)(range.Amax / (6.0 * tensorScale)));

    int StandardPower(WeightRange range) => SharedExponent.OfWeights((float)range.Amax, LargestCode);

    /// <summary>
    /// The codes 1 to 126 are the finite numbers above 0. Beside FP8 activations a weight over the scale of the matrix must be an E4M3
    /// number, so six times the scale of a block is one at most.
    /// </summary>
    GroupScale BlockScale(int code, float tensorScale)
    {
        var largest = format is NvFp4 { InFp8: true } ? Float8.ToE4M3(Float8.LargestE4M3 / Float4.LargestE2M1) : 126;
        var stored = (byte)Math.Clamp(code, 1, largest);
        return new(Float8.FromE4M3(stored) * tensorScale, 0, stored);
    }

    static GroupScale PowerScale(int code)
    {
        var stored = (byte)Math.Clamp(code, 0, 254);
        return new(Float8.FromE8M0(stored), 0, stored);
    }

    static float Positive(double scale) => Math.Max((float)scale, SmallestScale);

    GroupScale RowScale(WeightRange range, int index)
    {
        var full = range.Amax == 0 ? 1 : Positive(range.Amax / Float8.LargestE4M3);
        return new((float)(full * (1 - index / 100.0)));
    }
}
