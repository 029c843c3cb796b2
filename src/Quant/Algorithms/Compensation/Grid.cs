namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>The scale of one group of weights.</summary>
/// <param name="Scale">What the numbers of the codes are multiplied with.</param>
/// <param name="Zero">The code of 0 on a grid with zero points, else 0.</param>
/// <param name="Stored">The scale as stored, where it is a byte.</param>
/// <param name="Tensor">The scale of the matrix, where numbers are rounded under it once more; else 1.</param>
readonly record struct GroupScale(float Scale, float Zero = 0, byte Stored = 0, float Tensor = 1);

/// <summary>The lowest and highest weight of a group, taken to contain 0.</summary>
readonly record struct WeightRange(double Low, double High)
{
    public double Amax => Math.Max(-Low, High);
}

/// <summary>The numbers weights may become, under a scale per group that can be searched.</summary>
abstract class Grid
{
    /// <summary>Consecutive inputs of a row that share a scale.</summary>
    public abstract int GroupOf(int columns);

    /// <summary>The scale of the whole matrix; 1 where there is none.</summary>
    /// <param name="searched">Whether scales of groups will be searched, above and below the standard ones.</param>
    public virtual float TensorScale(double amax, bool searched) => 1;

    /// <summary>The scale the largest magnitudes ask for.</summary>
    public abstract GroupScale Standard(WeightRange range, float tensorScale);

    /// <summary>Whether the scale of a group may be any number.</summary>
    public virtual bool FreeScales => false;

    /// <summary>How many scales a search tries.</summary>
    public abstract int Candidates { get; }

    public abstract GroupScale Candidate(WeightRange range, float tensorScale, int index);

    /// <summary>The power of the error in an unweighted search.</summary>
    public abstract double SearchPower { get; }

    /// <summary>The code nearest to a weight. The division is done in double.</summary>
    public abstract int Code(double weight, in GroupScale scale);

    public abstract double Value(int code, in GroupScale scale);

    /// <summary>The code whose low eight bits these are.</summary>
    public virtual int FromByte(byte code) => code;

    /// <summary>Value of Code of each weight, in F32: ties may fall to the other side.</summary>
    public abstract void Round(ReadOnlySpan<float> weights, in GroupScale scale, Span<float> rounded);
}
