using Nibble.Tensors;
using Convert = Nibble.Tensors.Convert;

namespace Nibble.Tests.Tensors;

public sealed class ConvertTests
{
    /// <summary>Every sign, exponent and upper fraction, with lower halves around the tie.</summary>
    static readonly uint[] LowerHalves = [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF];

    [Fact]
    public void BF16_rounds_to_nearest_with_ties_to_even()
    {
        var source = new float[LowerHalves.Length << 16];
        for (var i = 0; i < source.Length; i++)
        {
            var upper = (uint)(i / LowerHalves.Length) << 16;
            source[i] = BitConverter.UInt32BitsToSingle(upper | LowerHalves[i % LowerHalves.Length]);
        }
        var actual = new ushort[source.Length];
        Convert.ToBF16(source, actual);

        for (var i = 0; i < source.Length; i++)
        {
            var right = float.IsNaN(source[i])
                ? float.IsNaN(Convert.BF16ToSingle(actual[i])) && (actual[i] & 0x40) != 0
                : actual[i] == Nearest(source[i]);
            if (!right || actual[i] != Convert.SingleToBF16(source[i]))
                Assert.Fail($"{source[i]:R} became {actual[i]:X4}, and {Convert.SingleToBF16(source[i]):X4} alone");
        }
    }

    [Fact]
    public void Vectors_and_remainders_agree_at_every_length_and_nothing_else_is_written()
    {
        for (var length = 0; length <= 100; length++)
        {
            var source = new float[length];
            for (var i = 0; i < length; i++)
                source[i] = i % 7 == 3 ? float.NaN : MathF.Sin(i) * 1e30f;
            var narrow = new ushort[length + 1];
            Convert.ToBF16(source, narrow);
            Assert.Equal([.. source.Select(Convert.SingleToBF16), 0], narrow);

            var wide = new float[length + 1];
            Convert.FromBF16(narrow.AsSpan(0, length), wide);
            Assert.Equal([.. narrow.Select(Convert.BF16ToSingle)], wide);
        }
    }

    [Fact]
    public void Tensors_of_plain_numbers_become_F32()
    {
        float[] values = [1, -2.5f, 0.5f, 1024, -0.0f, 3];
        var bf16 = Tensor.Empty(new Shape(2, 3), DType.BF16);
        Convert.ToBF16(values, bf16.Span<ushort>());
        var f16 = Tensor.Empty(new Shape(2, 3), DType.F16);
        var f64 = Tensor.Empty(new Shape(2, 3), DType.F64);
        for (var i = 0; i < values.Length; i++)
            (f16.Span<Half>()[i], f64.Span<double>()[i]) = ((Half)values[i], values[i]);

        foreach (var source in (Tensor[])[Tensor.From(values, 2, 3), bf16, f16, f64])
        {
            var result = Convert.ToF32(source);
            Assert.Equal(source.Shape, result.Shape);
            Assert.Equal(values, result.Span<float>().ToArray());
            var part = new float[2];
            Convert.ToF32(source, 3, part);
            Assert.Equal(values[3..5], part);
        }
    }

    [Fact]
    public void Doubles_round_to_nearest()
    {
        var source = Tensor.Empty(new Shape(3), DType.F64);
        (source.Span<double>()[0], source.Span<double>()[1], source.Span<double>()[2]) = (1 + 1.5 / (1 << 23), 0.1, 1e300);
        Assert.Equal([1 + 2f / (1 << 23), 0.1f, float.PositiveInfinity], Convert.ToF32(source).Span<float>().ToArray());
    }

    [Fact]
    public void Large_tensors_are_converted_in_full()
    {
        const int count = (1 << 19) + 77;
        var source = Tensor.Empty(new Shape(count), DType.BF16);
        for (var i = 0; i < count; i++)
            source.Span<ushort>()[i] = (ushort)(i % 0x7F00);
        var result = Convert.ToF32(source).Span<float>();
        for (var i = 0; i < count; i++)
            if (result[i] != Convert.BF16ToSingle((ushort)(i % 0x7F00)))
                Assert.Fail($"element {i} is {result[i]}");
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        Assert.Throws<ArgumentException>(() => Convert.ToBF16(new float[3], new ushort[2]));
        Assert.Throws<ArgumentException>(() => Convert.FromBF16(new ushort[3], new float[2]));
        Assert.Throws<ShapeException>(() => Convert.ToF32(Tensor.Zeros(4), 3, new float[2]));
        Assert.Throws<ShapeException>(() => Convert.ToF32(Tensor.Zeros(4), -1, new float[2]));
        Assert.Throws<ShapeException>(() => Convert.ToF32(Tensor.Zeros(new Shape(4), DType.F8E4M3)));
    }

    /// <summary>The nearer of the two neighbours, by distance in double; the even one when they are as near.</summary>
    static ushort Nearest(float value)
    {
        var down = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
        if (float.IsInfinity(value))
            return down;
        var up = (ushort)(down + 1);
        // Beyond the largest finite value the next step of the grid stands for infinity.
        var above = float.IsInfinity(Convert.BF16ToSingle(up)) ? Math.ScaleB(Math.Sign(value), 128) : Convert.BF16ToSingle(up);
        var (low, high) = (Math.Abs(value - (double)Convert.BF16ToSingle(down)), Math.Abs(above - value));
        return low < high || low == high && down % 2 == 0 ? down : up;
    }
}
