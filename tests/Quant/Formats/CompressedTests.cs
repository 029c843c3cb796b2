using Nibble.Export.Safetensors;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Formats;

/// <summary>Weights as ModelOpt 0.47 holds them in memory once they are compressed: NF4, INT4 and INT8 of one matrix [32, 256].</summary>
public class CompressedTests
{
    static readonly SafetensorsFile recorded = SafetensorsFile.Open(Repository.Fixture("modelopt/lab/compressed.safetensors"));

    static readonly SafetensorsFile inputs = SafetensorsFile.Open(Repository.Fixture("modelopt/lab/inputs.safetensors"));

    static Tensor Weight => inputs.Load("weight");

    [Fact]
    public void Nf4_codes_and_scales_are_equal()
    {
        Assert.Equal(recorded.Load("nf4.codebook").Span<float>().ToArray(), new Nf4().Numbers.ToArray());
        var quantized = WeightQuantizer.Quantize(Weight, new Nf4());
        Assert.Equal(recorded.Load("nf4.block_scales").Span<float>().ToArray(), quantized.Scales!.Span<float>().ToArray());
        // it puts the first of two codes in the high nibble
        Assert.Equal(recorded.Load("nf4.packed").Span<byte>().ToArray(),
            quantized.Codes.Span<byte>().ToArray().Select(pair => (byte)(pair << 4 | pair >> 4)));
    }

    [Fact]
    public void Scales_are_quantized_as_there()
    {
        var scales = recorded.Load("nf4.block_scales").Span<float>().ToArray();
        var quantized = DoubleScales.Of(scales, 16);
        Assert.Equal(recorded.Load("nf4.scale_codes").Span<sbyte>().ToArray(), quantized.Codes);
        Close.Assert(recorded.Load("nf4.double_scale").Span<float>(), quantized.Factors, 1e-6, because: "factors"); // 1.0e-7 measured
        Assert.Equal(recorded.Load("nf4.scale_zero").Span<float>()[0], quantized.Mean);
    }

    [Fact]
    public void Nf4_under_quantized_scales_decodes_to_the_same_numbers()
    {
        var expected = recorded.Load("nf4.dequant_formula");
        var quantized = WeightQuantizer.Quantize(Weight, new Nf4(ScaleBlock: 16));
        var row = new float[256];
        for (var i = 0; i < expected.Rows; i++)
        {
            quantized.Decode(i, 0, row);
            Assert.Equal(expected.Row(i).ToArray(), row);
        }
    }

    [Fact]
    public void Int8_codes_are_equal()
    {
        var quantized = WeightQuantizer.Quantize(Weight, new Int8PerChannel());
        Assert.Equal(recorded.Load("compress_int8.scale").Span<float>().ToArray(), quantized.Scales!.Span<float>().ToArray());
        Assert.Equal(recorded.Load("compress_int8.codes").Span<byte>().ToArray(), quantized.Codes.Slice(0, 8).Span<byte>().ToArray());
    }

    [Fact]
    public void Int4_codes_differ_on_ties_only()
    {
        var quantized = WeightQuantizer.Quantize(Weight, new Int4());
        using var weight = Nibble.Tensors.Convert.ToF32(Weight);
        var expected = recorded.Load("compress_int4.packed").Span<byte>().ToArray();
        var ties = 0;
        for (var i = 0; i < weight.Elements; i++)
        {
            var there = ((expected[i / 2] >> (i % 2 == 0 ? 4 : 0)) & 15) - 8; // high nibble first, and offset by 8
            var here = ((quantized.Codes.Span<byte>()[i / 2] >> (i % 2 * 4)) & 15 ^ 8) - 8;
            if (there == here)
                continue;
            var ratio = weight.Span<float>()[i] / quantized.Scales!.Span<float>()[i / 128];
            Assert.Equal(0.5, Math.Abs(ratio - Math.Floor(ratio)), 1e-5);
            ties++;
        }
        Assert.Equal(4, ties); // of 8192: it multiplies with 7 / amax
        Close.Assert(recorded.Load("compress_int4.scale").Span<float>().ToArray().Select(scale => 1 / scale).ToArray(),
            quantized.Scales!.Span<float>(), 2e-7, because: "scales"); // it keeps 7 / amax: two roundings
    }

    [Theory]
    [InlineData(1, 16)]
    [InlineData(33, 16)]
    [InlineData(1000, 256)]
    public void Quantized_scales_are_within_half_a_step(int count, int block)
    {
        var scales = Draw.Normal(count, 1, mean: 3);
        var quantized = DoubleScales.Of(scales, block);
        var restored = new float[count];
        quantized.CopyTo(restored);
        for (var i = 0; i < count; i++)
            Assert.InRange(restored[i] - scales[i], -0.5001f / quantized.Factors[i / block], 0.5001f / quantized.Factors[i / block]);
        Assert.Equal((count + block - 1) / block, quantized.Factors.Length);
    }

    [Fact]
    public void Equal_scales_stay_as_they_are()
    {
        var restored = new float[40];
        DoubleScales.Of([.. Enumerable.Repeat(0.7f, 40)], 16).CopyTo(restored);
        Assert.All(restored, scale => Assert.Equal(0.7f, scale));
    }
}
