using System.Runtime.InteropServices;

namespace Nibble.Tensors.Ops;

/// <summary>
/// Rotary position embedding: each pair (a, b) of a head becomes (a·cos - b·sin, b·cos + a·sin), the angle being position times
/// frequency. arXiv:2104.09864, equation 34.
/// </summary>
public static class Rope
{
    /// <summary>r/2 frequencies, and what cos and sin are multiplied with.</summary>
    /// <param name="length">Positions in use, for the rules that look at it; null for none known.</param>
    /// <exception cref="ShapeException">
    /// The rotated part is not even, a factor is not positive, or a list has the wrong length.
    /// </exception>
    public static (double[] InverseFrequencies, double AttentionScaling) Frequencies(RopeParameters p, int? length) =>
        RopeFrequencies.Of(p, length);

    /// <summary>cos and sin of every position and frequency.</summary>
    /// <remarks>
    /// Frequency and angle are rounded to F32 before the cosine is taken, as Transformers does: at position 100 000 the rounding
    /// of the angle is up to 0.004 radians, and a network has been trained with it.
    /// </remarks>
    /// <returns>Two tensors [T, r/2] F32.</returns>
    public static (Tensor Cos, Tensor Sin) Angles(double[] inverseFrequencies, double scaling, int[] positions)
    {
        Tensor cos = Tensor.Empty(positions.Length, inverseFrequencies.Length), sin = Tensor.Empty(cos.Shape);
        Work.For(positions.Length, 30.0 * cos.Columns, t =>
        {
            for (var i = 0; i < inverseFrequencies.Length; i++)
                Angle(inverseFrequencies[i], scaling, positions[t], out cos.Row(t)[i], out sin.Row(t)[i]);
        });
        return (cos, sin);
    }

    /// <summary>
    /// cos and sin where each frequency follows one of three positions: temporal, height, width. arXiv:2409.12191, section 2.1.
    /// </summary>
    /// <param name="positions">[3][T].</param>
    /// <param name="sections">How many frequencies follow each; together r/2.</param>
    /// <param name="interleaved">
    /// False: temporal frequencies first, then height, then width. True: they take turns while height and width have frequencies
    /// left, and the rest is temporal.
    /// </param>
    /// <returns>Two tensors [T, r/2] F32.</returns>
    /// <exception cref="ShapeException">
    /// There are not three lists of equal length, or the sections do not cover the frequencies.
    /// </exception>
    public static (Tensor Cos, Tensor Sin) MultimodalAngles(double[] inverseFrequencies, double scaling, int[][] positions,
        int[] sections, bool interleaved)
    {
        Expect.Length(positions.Length, 3);
        Expect.Length(positions[1].Length, positions[0].Length);
        Expect.Length(positions[2].Length, positions[0].Length);
        Expect.Length(sections.Length, 3);
        Expect.Length(sections.Sum(), inverseFrequencies.Length);

        Tensor cos = Tensor.Empty(positions[0].Length, inverseFrequencies.Length), sin = Tensor.Empty(cos.Shape);
        Work.For(cos.Rows, 30.0 * cos.Columns, t =>
        {
            for (var i = 0; i < inverseFrequencies.Length; i++)
            {
                var position = positions[Axis(i, sections, interleaved)][t];
                Angle(inverseFrequencies[i], scaling, position, out cos.Row(t)[i], out sin.Row(t)[i]);
            }
        });
        return (cos, sin);
    }

    /// <summary>Rotates every head in place.</summary>
    /// <param name="x">[T, H, d] F32. The first r = 2 · cos.Columns elements of a head are rotated, the others stay.</param>
    /// <param name="cos">[T, r/2] F32.</param>
    /// <param name="sin">[T, r/2] F32.</param>
    /// <param name="neighbouringPairs">Pairs are (2i, 2i + 1) instead of (i, i + r/2).</param>
    /// <exception cref="ShapeException">The shapes do not fit, or a tensor is not F32.</exception>
    public static void Apply(Tensor x, Tensor cos, Tensor sin, bool neighbouringPairs = false)
    {
        Expect.Type(x, DType.F32);
        Expect.Type(cos, DType.F32);
        Expect.Same(sin, cos);
        Expect.Length(x.Shape.Rank, 3);
        Expect.Shape(cos, new Shape(x.Shape[0], cos.Columns));
        if (2 * cos.Columns > x.Columns)
            throw new ShapeException($"Rope: cos has more columns than half a head of x; got cos = {cos}, x = {x}.");

        int heads = (int)x.Shape[1], width = x.Columns;
        Work.For((int)x.Shape[0], 0.3 * heads * cos.Columns + 20, t =>
        {
            var token = Lanewise.Part(x, (long)t * heads * width, heads * width);
            if (neighbouringPairs)
                Neighbours(token, width, cos.Row(t), sin.Row(t));
            else
                Halves(token, width, cos.Row(t), sin.Row(t));
        });
    }

    /// <summary>One head.</summary>
    internal static void Definition(ReadOnlySpan<float> x, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin,
        bool neighbouringPairs, Span<double> y)
    {
        for (var i = 0; i < x.Length; i++)
            y[i] = x[i];
        for (var i = 0; i < cos.Length; i++)
        {
            var (a, b) = neighbouringPairs ? (2 * i, 2 * i + 1) : (i, i + cos.Length);
            y[a] = (double)x[a] * cos[i] - (double)x[b] * sin[i];
            y[b] = (double)x[b] * cos[i] + (double)x[a] * sin[i];
        }
    }

    static void Halves(Span<float> heads, int width, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        if (Floats.Width == 16)
            Halves<Floats16>(heads, width, cos, sin);
        else if (Floats.Width == 8)
            Halves<Floats8>(heads, width, cos, sin);
        else
            Halves<Floats4>(heads, width, cos, sin);
    }

    static void Neighbours(Span<float> heads, int width, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
    {
        if (Floats.Width == 16)
            Neighbours<Floats16>(heads, width, cos, sin);
        else if (Floats.Width == 8)
            Neighbours<Floats8>(heads, width, cos, sin);
        else
            Neighbours<Floats4>(heads, width, cos, sin);
    }

    /// <param name="heads">[H, d].</param>
    internal static void Halves<V>(Span<float> heads, int width, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
        where V : struct, IFloats<V>
    {
        var half = cos.Length;
        ref readonly var c = ref MemoryMarshal.GetReference(cos);
        ref readonly var s = ref MemoryMarshal.GetReference(sin);
        for (var head = 0; head < heads.Length; head += width)
        {
            ref var x = ref heads[head];
            var i = 0;
            for (; i <= half - V.Count; i += V.Count)
            {
                V a = V.Load(in x, i), b = V.Load(in x, i + half), cosine = V.Load(in c, i), sine = V.Load(in s, i);
                V.Store(a * cosine - b * sine, ref x, i);
                V.Store(b * cosine + a * sine, ref x, i + half);
            }
            for (; i < half; i++)
            {
                float a = heads[head + i], b = heads[head + i + half];
                heads[head + i] = a * cos[i] - b * sin[i];
                heads[head + i + half] = b * cos[i] + a * sin[i];
            }
        }
    }

    // With cos doubled to (c0, c0, c1, c1, …) and sin to (-s0, s0, -s1, s1, …): y = x·cos + neighbour(x)·sin.
    internal static void Neighbours<V>(Span<float> heads, int width, ReadOnlySpan<float> cos, ReadOnlySpan<float> sin)
        where V : struct, IFloats<V>
    {
        var rotated = 2 * cos.Length;
        Span<float> doubled = rotated <= 256 ? stackalloc float[2 * rotated] : new float[2 * rotated];
        for (var i = 0; i < cos.Length; i++)
        {
            (doubled[2 * i], doubled[2 * i + 1]) = (cos[i], cos[i]);
            (doubled[rotated + 2 * i], doubled[rotated + 2 * i + 1]) = (-sin[i], sin[i]);
        }

        ref readonly var factors = ref doubled[0];
        for (var head = 0; head < heads.Length; head += width)
        {
            ref var x = ref heads[head];
            var i = 0;
            for (; i <= rotated - V.Count; i += V.Count)
            {
                var pairs = V.Load(in x, i);
                V.Store(pairs * V.Load(in factors, i) + V.SwapPairs(pairs) * V.Load(in factors, i + rotated), ref x, i);
            }
            for (; i < rotated; i += 2)
            {
                float a = heads[head + i], b = heads[head + i + 1];
                heads[head + i] = a * doubled[i] + b * doubled[rotated + i];
                heads[head + i + 1] = b * doubled[i + 1] + a * doubled[rotated + i + 1];
            }
        }
    }

    static void Angle(double inverseFrequency, double scaling, int position, out float cos, out float sin)
    {
        var angle = (float)inverseFrequency * position;
        var (s, c) = Math.SinCos(angle);
        cos = (float)(c * scaling);
        sin = (float)(s * scaling);
    }

    // Published code interleaves by index: height at 1 and width at 2 of every three frequencies, below three times the section.
    static int Axis(int frequency, int[] sections, bool interleaved)
    {
        if (interleaved)
            return frequency % 3 is var axis and > 0 && frequency < 3 * sections[axis] ? axis : 0;
        return frequency < sections[0] ? 0 : frequency < sections[0] + sections[1] ? 1 : 2;
    }
}
