using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Host;

namespace Nibble.Quant.Algorithms.Equalisation;

/// <summary>
/// Quantize and dequantize as ModelOpt simulates it while it searches: by the range (the largest magnitude that is not clipped)
/// instead of a stored scale. Integers are multiplied by n / amax where export divides by amax / n, and NVFP4 has another floor
/// for its block scales, so single codes differ from <see cref="WeightQuantizer"/>; the searches choose by these numbers.
/// </summary>
abstract record SimulatedRounding
{
    /// <summary>
    /// Inputs that share a range; 0: those of a row, -1: the whole matrix. As <see cref="WeightFormat.Group"/>.
    /// </summary>
    public abstract int Group { get; }

    /// <summary>Rounds values that share a range. Where the whole matrix does, these are a row of it.</summary>
    public abstract void Round(ReadOnlySpan<float> values, float amax, Span<float> result);

    /// <summary>How a format is simulated. Formats without a rule of their own round as they are stored.</summary>
    public static SimulatedRounding Of(WeightFormat format) => format switch
    {
        Int4 or Int4Fp8 => new IntegerRounding(4, format.Group), // ModelOpt leaves E4M3 out of its searches
        Int8PerChannel => new IntegerRounding(8, 0),
        IntGroup { Symmetric: true } => new IntegerRounding(format.CodeBits, format.Group),
        Fp8 or Fp8PerChannel => new Fp8Rounding(format.Group),
        NvFp4 { Group: NvFp4.BlockSize, InFp8: false } => new NvFp4Rounding(),
        _ => new StoredRounding(format),
    };

    public int RangesPerRow(int columns) => Group > 0 ? (columns + Group - 1) / Group : 1;

    /// <summary>The largest magnitudes: [out, groups], [out, 1] or [1, 1].</summary>
    public Tensor Ranges(Tensor weight)
    {
        if (Group < 0)
            return Tensor.From([WeightQuantizer.AbsMax(weight)], 1, 1);
        var ranges = Tensor.Empty(weight.Rows, RangesPerRow(weight.Columns));
        var length = Group == 0 ? weight.Columns : Group;
        for (var row = 0; row < weight.Rows; row++)
            for (var group = 0; group < ranges.Columns; group++)
                ranges.Row(row)[group] = Amax.Of(Piece(weight.Row(row), group, length));
        return ranges;
    }

    /// <summary>Rounds a matrix under given ranges.</summary>
    /// <param name="weight">[out, in] F32.</param>
    /// <param name="result">[out, in] F32.</param>
    public void Round(Tensor weight, Tensor ranges, Tensor result) => Threads.For(weight.Rows, 8, (start, end) =>
    {
        var length = Group > 0 ? Group : weight.Columns;
        for (var row = start; row < end; row++)
        {
            ReadOnlySpan<float> own = ranges.Row(Group < 0 ? 0 : row);
            for (var group = 0; group < own.Length; group++)
                Round(Piece(weight.Row(row), group, length), own[group], Piece(result.Row(row), group, length));
        }
    });

    static Span<float> Piece(Span<float> row, int group, int length) =>
        row[(group * length)..Math.Min((group + 1) * length, row.Length)];
}

/// <summary>clamp(round(w·n/amax), -n - 1, n) / (n/amax) with n = 2^(bits-1) - 1; zeros where amax is at most 2^-24.</summary>
sealed record IntegerRounding(int Bits, int Group) : SimulatedRounding
{
    const float Nothing = 5.9604645e-8f; // 2^-24

    public override int Group { get; } = Group;

    public override void Round(ReadOnlySpan<float> values, float amax, Span<float> result)
    {
        if (amax <= Nothing)
        {
            result.Clear();
            return;
        }
        var largest = (float)((1 << (Bits - 1)) - 1);
        var scale = largest / amax;
        for (var i = 0; i < values.Length; i++)
            result[i] = Math.Clamp(MathF.Round(values[i] * scale), -largest - 1, largest) / scale;
    }
}

/// <summary>E4M3(w·448/amax) / (448/amax), saturating.</summary>
sealed record Fp8Rounding(int Group) : SimulatedRounding
{
    const float Nothing = 5.9604645e-8f; // 2^-24

    public override int Group { get; } = Group;

    public override void Round(ReadOnlySpan<float> values, float amax, Span<float> result)
    {
        if (amax <= Nothing)
        {
            result.Clear();
            return;
        }
        var scale = Float8.LargestE4M3 / amax;
        for (var i = 0; i < values.Length; i++)
            result[i] = Float8.FromE4M3(Float8.ToE4M3(values[i] * scale)) / scale;
    }
}

/// <summary>
/// NVFP4 whose block scales follow the blocks' largest magnitudes under the matrix' range; see <see cref="NvFp4Activation"/>.
/// </summary>
sealed record NvFp4Rounding : SimulatedRounding
{
    public override int Group => -1;

    public override void Round(ReadOnlySpan<float> values, float amax, Span<float> result)
    {
        values.CopyTo(result);
        NvFp4Activation.RoundBlocks(result, Amax.ForScale(amax, Float4.LargestE2M1) / NvFp4.Range);
    }
}

/// <summary>What the stored codes decode to.</summary>
sealed record StoredRounding(WeightFormat Format) : SimulatedRounding
{
    public override int Group => -1;

    public override void Round(ReadOnlySpan<float> values, float amax, Span<float> result)
    {
        var scale = Format.HasTensorScale ? Format.TensorScale(amax) : 1;
        Span<byte> scales = new byte[Format.ScaleBytesPerRow(values.Length)];
        Span<byte> codes = new byte[Format.CodeBytesPerRow(values.Length)];
        Format.EncodeRow(values, scale, codes, scales);
        Format.DecodeRow(codes, scales, scale, 0, result);
    }
}
