using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Tests.Quant.Formats;

public class WeightQuantizerTests
{
    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    [InlineData(DType.F64)]
    public void Any_float_type_gives_the_rows_of_the_format(DType type)
    {
        const int Rows = 37, Columns = 256;
        var weight = Matrix(Rows, Columns, type);
        var dense = Nibble.Tensors.Convert.ToF32(weight);
        foreach (var format in Schemes.All.Select(entry => entry.Scheme.Weight).Where(format => format.RowsPerScale == 1))
        {
            var quantized = WeightQuantizer.Quantize(weight, format);
            Assert.Equal(format.TensorScale(Amax.Of(dense.Span<float>())), quantized.TensorScale);
            var (codes, scales) = (new byte[format.CodeBytesPerRow(Columns)], new byte[format.ScaleBytesPerRow(Columns)]);
            for (var row = 0; row < Rows; row++)
            {
                format.EncodeRow(dense.Row(row), quantized.TensorScale, codes, scales);
                Assert.True(codes.AsSpan().SequenceEqual(quantized.Codes.Row<byte>(row)), $"{format}, row {row}");
                var decoded = new float[Columns];
                quantized.Decode(row, 0, decoded);
                for (var column = 0; column < Columns; column++)
                {
                    var group = format.Group > 0 ? column / format.Group : 0;
                    Assert.Equal(format.Round(dense.Row(row)[column], quantized.TensorScale, scales, group), decoded[column]);
                }
            }
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(128, 128)]
    [InlineData(129, 127)]
    [InlineData(300, 386)]
    public void Rows_of_a_block_share_the_scales_of_its_largest_magnitudes(int rows, int columns)
    {
        const int Block = Fp8Blocks.BlockSize;
        var (format, weight) = (new Fp8Blocks(), Matrix(rows, columns, DType.F32));
        if (rows > Block)
            weight.Slice(Block, rows - Block).Span<float>().Clear(); // blocks of zeros get the scale 1
        var quantized = WeightQuantizer.Quantize(weight, format);
        var decoded = new float[columns - columns % 2];
        for (var row = 0; row < rows; row++)
        {
            quantized.Decode(row, 0, decoded);
            for (var column = 0; column < columns; column++)
            {
                var peak = 0f;
                for (var r = row - row % Block; r < Math.Min(rows, row - row % Block + Block); r++)
                    for (var c = column - column % Block; c < Math.Min(columns, column - column % Block + Block); c++)
                        peak = Math.Max(peak, Math.Abs(weight.Row(r)[c]));
                var scale = peak == 0 ? 1 : peak / 448;
                Assert.Equal(scale, quantized.Scales!.Row(row)[column / Block]);
                Assert.Equal(Float8.ToE4M3(weight.Row(row)[column] / scale), quantized.Codes.Row<byte>(row)[column]);
                if (column < decoded.Length)
                    Assert.Equal(Float8.FromE4M3(quantized.Codes.Row<byte>(row)[column]) * scale, decoded[column]);
            }
        }
        Assert.Throws<QuantizationException>(() =>
        {
            weight.Row(rows - 1)[columns - 1] = float.NaN;
            WeightQuantizer.Quantize(weight, format);
        });
    }

    [Fact]
    public void Many_rows_are_quantized_whichever_thread_takes_them()
    {
        var weight = Matrix(1031, 512, DType.F32); // several pieces, the last one short
        var quantized = WeightQuantizer.Quantize(weight, new NvFp4());
        var codes = new byte[256];
        foreach (var row in new[] { 0, 255, 256, 511, 512, 1030 })
        {
            new NvFp4().EncodeRow(weight.Row(row), quantized.TensorScale, codes, new byte[32]);
            Assert.True(codes.AsSpan().SequenceEqual(quantized.Codes.Row<byte>(row)), $"row {row}");
        }
        Assert.Equal(Amax.Of(weight.Span<float>()), WeightQuantizer.AbsMax(weight));
    }

    [Fact]
    public void A_shared_largest_magnitude_makes_the_tensor_scale()
    {
        var weight = Matrix(4, 32, DType.F32);
        Assert.Equal(new NvFp4().TensorScale(99), WeightQuantizer.Quantize(weight, new NvFp4(), 99).TensorScale);
        Assert.Equal(1, WeightQuantizer.Quantize(weight, new MxFp4(), 99).TensorScale);
        foreach (var wrong in new[] { float.NaN, float.PositiveInfinity, -1 })
            Assert.Throws<QuantizationException>(() => WeightQuantizer.Quantize(weight, new NvFp4(), wrong));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_number_that_is_not_finite_is_named(float bad)
    {
        var weight = Matrix(300, 1024, DType.F32); // more than one piece of work
        weight.Row(290)[1000] = bad;
        weight.Row(270)[17] = bad;
        foreach (var format in Schemes.All.Select(entry => entry.Scheme.Weight))
        {
            var error = Assert.Throws<QuantizationException>(() => WeightQuantizer.Quantize(weight, format, name: "a.weight"));
            Assert.Equal($"a.weight: finite numbers expected, found {bad} in row 270, column 17", error.Message);
            Assert.Throws<QuantizationException>(() => WeightQuantizer.Quantize(weight, format, 1, "a.weight"));
        }
    }

    [Fact]
    public void What_cannot_be_quantized_is_refused_by_name()
    {
        static string Refusal(Tensor weight) =>
            Assert.Throws<QuantizationException>(() => WeightQuantizer.Quantize(weight, new Int4(), name: "b")).Message;
        Assert.Equal("b: [4, 100] F32 cannot be stored as int4-g128: 100 inputs are not a multiple of the group 128",
            Refusal(Tensor.Zeros(4, 100)));
        Assert.Equal("b: a matrix [out, in] expected, found [4, 2, 128] F32", Refusal(Tensor.Zeros(4, 2, 128)));
        Assert.Equal("b: F32, F16, BF16 or F64 expected, found [4, 128] I8", Refusal(Tensor.Zeros(new Shape(4, 128), DType.I8)));
    }

    [Fact]
    public void Codes_and_scales_of_another_size_are_refused()
    {
        var good = WeightQuantizer.Quantize(Matrix(4, 32, DType.F32), new NvFp4());
        Assert.Throws<QuantizationException>(() => new QuantizedWeight(good.Format, 5, 32, good.Codes, good.Scales, 1));
        Assert.Throws<QuantizationException>(() => new QuantizedWeight(good.Format, 4, 32, good.Codes, null, 1));
        Assert.Throws<QuantizationException>(() => new QuantizedWeight(new Fp8(), 4, 16, good.Codes, good.Scales, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => good.Decode(4, 0, new float[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => good.Decode(0, 3, new float[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => good.Decode(0, 30, new float[3]));
    }

    static Tensor Matrix(int rows, int columns, DType type)
    {
        var tensor = Tensor.Empty(new Shape(rows, columns), type);
        var values = Numbers.Awkward(rows * columns, rows);
        for (var i = 0; i < values.Length; i++)
        {
            var value = MathF.Abs(values[i]) < 1e-3f ? 0 : values[i];
            switch (type)
            {
                case DType.F32: tensor.Span<float>()[i] = value; break;
                case DType.F64: tensor.Span<double>()[i] = value; break;
                case DType.F16: tensor.Span<Half>()[i] = (Half)value; break;
                default: tensor.Span<ushort>()[i] = Nibble.Tensors.Convert.SingleToBF16(value); break;
            }
        }
        return tensor;
    }
}
