using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>
/// value = scale · (code − zero), code = clamp(round(w / scale) + zero), ties to even. Searched over 80 scales, each a hundredth of
/// the standard one smaller than the last.
/// </summary>
/// <param name="group">Inputs that share a scale; 0 for a whole row.</param>
/// <param name="lowest">The lowest code.</param>
/// <param name="highest">The highest code.</param>
/// <param name="steps">The scale is the largest magnitude over this; with zero points the width of the range.</param>
/// <param name="zero">The code of 0; null where every group has its own.</param>
sealed class UniformGrid(int group, int lowest, int highest, double steps, float? zero) : Grid
{
    // So that no scale of a group of tiny weights is 0.
    const float SmallestScale = 1.17549435e-38f;

    /// <summary>
    /// Codes 0 to 2ᵇ − 1. Symmetric: scale = 2·amax / (2ᵇ − 1) around the fixed zero point 2ᵇ⁻¹, as in the code of GPTQ.
    /// Asymmetric: scale = (high − low) / (2ᵇ − 1), zero = round(−low / scale).
    /// </summary>
    public static UniformGrid Unsigned(int bits, int group, bool symmetric)
    {
        var top = (1 << bits) - 1;
        return symmetric ? new(group, 0, top, top / 2.0, (top + 1) / 2) : new(group, 0, top, top, null);
    }

    /// <summary>Signed codes with scale = amax / largest.</summary>
    public static UniformGrid Signed(int group, int lowest, int largest) => new(group, lowest, largest, largest, 0);

    public override int GroupOf(int columns) => group == 0 ? columns : group;

    public override bool FreeScales => true;

    public override int Candidates => 80;

    public override double SearchPower => 2.4;

    public override GroupScale Standard(WeightRange range, float tensorScale) => Candidate(range, tensorScale, 0);

    public override GroupScale Candidate(WeightRange range, float tensorScale, int index)
    {
        var share = 1 - index / 100.0;
        var (low, high) = range.Amax == 0 ? (-1.0, 1.0) : (range.Low, range.High);
        if (zero is 0)
            return new(Positive((float)((float)(Math.Max(-low, high) / steps) * share)));
        if (zero is { } middle)
            return new(Positive((float)(share * Math.Max(-low, high) / steps)), middle);
        (low, high) = (share * low, share * high);
        var scale = Positive((float)((high - low) / steps));
        return new(scale, (float)Math.Clamp(Math.Round(-low / scale), 0, highest));
    }

    public override int Code(double weight, in GroupScale scale) =>
        (int)Math.Clamp(Math.Round(weight / scale.Scale) + scale.Zero, lowest, highest);

    public override double Value(int code, in GroupScale scale) => scale.Scale * ((double)code - scale.Zero);

    public override int FromByte(byte code) => lowest < 0 ? (sbyte)code : code;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Round(ReadOnlySpan<float> weights, in GroupScale scale, Span<float> rounded)
    {
        ref var source = ref MemoryMarshal.GetReference(weights);
        ref var target = ref MemoryMarshal.GetReference(rounded[..weights.Length]);
        var (step, offset) = (Vector512.Create(scale.Scale), Vector512.Create(scale.Zero));
        var (low, high) = (Vector512.Create((float)lowest), Vector512.Create((float)highest));
        var i = 0;
        for (; i <= weights.Length - 16; i += 16)
        {
            var code = Vector512.Round(Vector512.LoadUnsafe(ref source, (nuint)i) / step) + offset;
            ((Vector512.Clamp(code, low, high) - offset) * step).StoreUnsafe(ref target, (nuint)i);
        }
        for (; i < weights.Length; i++)
            rounded[i] = (Math.Clamp(MathF.Round(weights[i] / scale.Scale) + scale.Zero, lowest, highest) - scale.Zero) * scale.Scale;
    }

    static float Positive(float scale) => Math.Max(scale, SmallestScale);
}
