using Nibble.Quant.Formats;

namespace Nibble.Tests.Quant.Formats;

public class IntGroupTests
{
    [Fact]
    public void Symmetric_codes_run_from_minus_four_to_three()
    {
        var row = new float[8];
        new float[] { 3, -3, 1.5f, 2.5f, -0.5f, 0.4f, -2.6f, 0 }.CopyTo(row, 0); // scale 1
        Assert.Equal([3, -3, 2, 2, 0, 0, -3, 0], RoundTrip(new IntGroup(3, 8), row));
        Assert.Equal(-4, new IntGroup(3, 8).Round(-9, 1, ScalesOf(new IntGroup(3, 8), row), 0));
    }

    [Fact]
    public void Asymmetric_codes_have_a_zero_point_and_contain_zero()
    {
        // min -1, max 2: scale 1, zero point 1, so the numbers are -1, 0, 1, 2
        Assert.Equal([-1, 2, 0, 0, 1, 2, 0, 0], RoundTrip(new IntGroup(2, 8, false), [-1, 2, 0.5f, 0.4f, 0.6f, 1.5f, -0.5f, 0]));
        // all positive: the range begins at 0
        Assert.Equal([3, 2, 2, 2, 3, 3, 0, 1], RoundTrip(new IntGroup(2, 8, false), [3, 2, 2.5f, 1.6f, 2.6f, 3, 0.2f, 1]));
        // all negative: it ends there
        float[] negative = [-3, -2, -2.6f, -1, -0.2f, -1, -2, -3];
        Assert.Equal([-3, -2, -3, -1, 0, -1, -2, -3], RoundTrip(new IntGroup(2, 8, false), negative));
    }

    [Fact]
    public void Codes_are_packed_from_the_low_bit_on()
    {
        var format = new IntGroup(3, 8);
        var codes = new byte[3];
        format.EncodeRow([3, -3, 1, 2, 0, -1, -2, 3], 1, codes, new byte[4]);
        // 011 101 001 010 000 111 110 011, the first three bits lowest
        var expected = 0b011_110_111_000_010_001_101_011;
        Assert.Equal(expected, codes[0] | codes[1] << 8 | codes[2] << 16);
    }

    static float[] RoundTrip(IntGroup format, float[] row)
    {
        var codes = new byte[format.CodeBytesPerRow(row.Length)];
        var scales = ScalesOf(format, row);
        format.CodeRow(row, 1, scales, codes);
        var values = new float[row.Length];
        format.DecodeRow(codes, scales, 1, 0, values);
        return [.. values.Select(value => value + 0)]; // -0 is 0 here
    }

    static byte[] ScalesOf(IntGroup format, float[] row)
    {
        var scales = new byte[format.ScaleBytesPerRow(row.Length)];
        format.ScaleRow(row, 1, scales);
        return scales;
    }
}
