namespace Nibble.Tensors.Host;

/// <summary>
/// Constants for widening F16 by integer arithmetic, since .NET has no intrinsic for the instruction. With the magnitude shifted
/// left by 13 the fraction is in its F32 place and only the exponent needs a new bias.
/// </summary>
static class Half16
{
    /// <summary>127 - 15 in the exponent field. Added a second time it takes exponent 31 (infinities, NaN) to 255.</summary>
    public const uint Rebias = 112u << 23;

    /// <summary>Exponent field 1; below it a magnitude is zero or subnormal.</summary>
    public const uint One = 1u << 23;

    /// <summary>Exponent field 31.</summary>
    public const uint Infinite = 31u << 23;

    /// <summary>2⁻¹⁴. A subnormal put under its exponent is 2⁻¹⁴ too large, and the subtraction is exact.</summary>
    public const float SmallestNormal = 6.103515625e-05f;
}
