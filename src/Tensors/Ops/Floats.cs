using System.Numerics;
using Nibble.Tensors.Host;

namespace Nibble.Tensors.Ops;

/// <summary>
/// A vector of floats of one width. A kernel is written once over <typeparamref name="V"/> and compiled for every width,
/// so that each width can be run and tested on any machine.
/// </summary>
interface IFloats<V> : IAdditionOperators<V, V, V>, ISubtractionOperators<V, V, V>, IMultiplyOperators<V, V, V>,
    IDivisionOperators<V, V, V> where V : struct, IFloats<V>
{
    static abstract int Count { get; }

    static abstract V Broadcast(float value);

    /// <summary>Reads <see cref="Count"/> elements from <paramref name="offset"/>, in elements; no alignment is needed.</summary>
    static abstract V Load(ref readonly float source, nint offset);

    static abstract void Store(V value, ref float destination, nint offset);

    /// <summary>a·b + c, rounded once where the processor can.</summary>
    static abstract V MultiplyAdd(V a, V b, V c);

    static abstract V Abs(V value);

    /// <summary>The larger; NaN where either is NaN.</summary>
    static abstract V Max(V left, V right);

    /// <summary>The value, moved between the bounds. A NaN stays NaN.</summary>
    static abstract V Clamp(V value, float low, float high);

    /// <summary>Nearest integer, ties to even.</summary>
    static abstract V Round(V value);

    /// <summary>
    /// value·2^power for whole powers from -252 to 254, in two steps: right also where the result is subnormal or infinite.
    /// </summary>
    static abstract V Scale(V value, V power);

    /// <summary>All bits set where left is less than right; none where either is NaN.</summary>
    static abstract V Less(V left, V right);

    /// <summary>The first where the mask is set, elsewhere the second.</summary>
    static abstract V Select(V mask, V whenSet, V otherwise);

    /// <summary>Neighbours exchanged: lanes 1, 0, 3, 2, …</summary>
    static abstract V SwapPairs(V value);

    /// <summary>The sum of all lanes.</summary>
    static abstract float Sum(V value);
}

/// <summary>The width this processor computes with, chosen once.</summary>
static class Floats
{
    /// <summary>The widest vector, in floats.</summary>
    public const int Widest = 16;

    public static readonly int Width = Cpu.Level switch { CpuLevel.Avx512 => 16, CpuLevel.Avx2 => 8, _ => 4 };
}
