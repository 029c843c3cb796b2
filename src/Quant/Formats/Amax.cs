using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Nibble.Quant.Formats;

/// <summary>Largest magnitudes and what is made of them.</summary>
static class Amax
{
    /// <summary>max |x|, 0 for no elements. A NaN anywhere gives a NaN, else an infinity gives infinity.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Of(ReadOnlySpan<float> values)
    {
        // The bits of magnitudes are ordered like the magnitudes, and those of a NaN are above infinity's.
        ref var source = ref MemoryMarshal.GetReference(values);
        var mask = Vector512.Create(0x7FFF_FFFF);
        var largest = Vector512<int>.Zero;
        var i = 0;
        for (; i <= values.Length - 16; i += 16)
            largest = Vector512.Max(largest, Vector512.LoadUnsafe(ref source, (nuint)i).AsInt32() & mask);
        var bits = Largest(largest);
        for (; i < values.Length; i++)
            bits = Math.Max(bits, BitConverter.SingleToInt32Bits(values[i]) & 0x7FFF_FFFF);
        return BitConverter.Int32BitsToSingle(bits);
    }

    /// <summary>The amax a scale may be made of: where it is 0 the scale becomes 1, and no scale becomes 0.</summary>
    /// <param name="largest">The largest magnitude of a code.</param>
    public static float ForScale(float amax, float largest) => amax == 0 ? largest : Math.Max(amax, SmallestNormal);

    const float SmallestNormal = 1.17549435e-38f;

    static int Largest(Vector512<int> lanes)
    {
        var half = Vector256.Max(lanes.GetLower(), lanes.GetUpper());
        var quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        quarter = Vector128.Max(quarter, Vector128.Shuffle(quarter, Vector128.Create(2, 3, 0, 1)));
        quarter = Vector128.Max(quarter, Vector128.Shuffle(quarter, Vector128.Create(1, 0, 3, 2)));
        return quarter.ToScalar();
    }
}
