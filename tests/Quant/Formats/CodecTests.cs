using System.Runtime.InteropServices;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Tests.Quant.Formats;

/// <summary>Codes and scales as ModelOpt 0.47 packs them.</summary>
public class CodecTests
{
    [Theory]
    [InlineData("auto")]
    [InlineData("half")]
    [InlineData("one")]
    [InlineData("amax448")]
    public void NvFp4_blocks(string tensorScale)
    {
        using var settings = ModelOpt.CodecSettings();
        var scale = settings.RootElement.GetProperty($"block.nvfp4_b16_{tensorScale}").GetProperty("ws2").GetSingle();
        var values = ModelOpt.Floats("block.x");
        if (tensorScale == "auto")
            Assert.Equal(scale, new NvFp4().TensorScale(Amax.Of(values)));
        CheckRows(new NvFp4(), values, scale, $"block.nvfp4_b16_{tensorScale}.packed", $"block.nvfp4_b16_{tensorScale}.scale");
    }

    [Theory]
    [InlineData("auto")]
    [InlineData("half")]
    [InlineData("one")]
    [InlineData("amax448")]
    public void NvFp4_blocks_of_32(string tensorScale)
    {
        using var settings = ModelOpt.CodecSettings();
        var (format, name) = (new NvFp4(32, InFp8: tensorScale == "amax448"), $"block.nvfp4_b32_{tensorScale}");
        var scale = settings.RootElement.GetProperty(name).GetProperty("ws2").GetSingle();
        var values = ModelOpt.Floats("block.x");
        if (tensorScale is "auto" or "amax448")
            Assert.Equal(scale, format.TensorScale(Amax.Of(values)));
        CheckRows(format, values, scale, $"{name}.packed", $"{name}.scale");
    }

    [Fact]
    public void MxFp4_blocks() =>
        CheckRows(new MxFp4(), ModelOpt.Floats("block.x"), 1, "block.mxfp4.packed", "block.mxfp4.scale");

    [Fact]
    public void MxFp8_blocks() =>
        CheckRows(new MxFp8(), ModelOpt.Floats("block.x"), 1, "block.mxfp8.codes", "block.mxfp8.scale");

    [Fact]
    public void MxFp4_rounds_every_BF16_number_up_to_6()
    {
        foreach (var (value, code) in ModelOpt.BF16Table("bf16_to_e2m1_mxfp4", 8).Where(entry => MathF.Abs(entry.Value) <= 6))
        {
            var nearest = new MxFp4().Nearest(value);
            Assert.True(code == nearest, $"{value:R}: {code:X} expected, got {nearest:X}");
        }
    }

    [Theory]
    [InlineData("e8m0.mxfp4_export", 6)]
    [InlineData("e8m0.mxfp8_export", 448)]
    public void Exponents_of_weights(string name, float largest)
    {
        var (amax, expected) = (ModelOpt.Floats("e8m0.amax"), ModelOpt.Bytes(name));
        for (var i = 0; i < amax.Length; i++)
            Assert.True(expected[i] == SharedExponent.OfWeights(amax[i], largest),
                $"amax {amax[i]:R}: {expected[i]} expected, got {SharedExponent.OfWeights(amax[i], largest)}");
    }

    [Fact]
    public void Int8_rounds_and_clamps()
    {
        var (values, codes) = (ModelOpt.Floats("int.x"), ModelOpt.Bytes("int8_export.codes"));
        var row = new byte[values.Length];
        new Int8PerChannel().CodeRow(values, 1, OneF32(1), row);
        Assert.Equal(codes, row);
    }

    [Fact]
    public void Int4_rounds_and_clamps_and_pairs_of_rows_make_bytes()
    {
        var values = ModelOpt.Floats("int.x");
        var rows = new[] { values[..32], values.Reverse().ToArray()[..32] };
        var packed = new byte[32];
        for (var column = 0; column < 32; column++)
            for (var row = 0; row < 2; row++)
                packed[column] |= (byte)(new Int4(32).Code(rows[row][column], 1, OneF32(1), 0) << (4 * row));
        Assert.Equal(ModelOpt.Bytes("int4_export.packed"), packed);
    }

    [Theory]
    [InlineData(4, "int4_amax7.fake")]
    [InlineData(8, "int8_amax127.fake")]
    public void Integers_decode_to_the_simulated_numbers(int bits, string name)
    {
        WeightFormat format = bits == 4 ? new Int4(16) : new Int8PerChannel();
        var (values, expected) = (ModelOpt.Floats("int.x"), ModelOpt.Floats(name));
        for (var i = 0; i < values.Length; i++)
            Assert.Equal(expected[i], format.Round(values[i], 1, OneF32(1), 0));
    }

    static void CheckRows(WeightFormat format, float[] values, float tensorScale, string codeName, string scaleName)
    {
        const int Columns = 32;
        var (expectedCodes, expectedScales) = (ModelOpt.Bytes(codeName), ModelOpt.Bytes(scaleName));
        var (codes, scales) = (new byte[format.CodeBytesPerRow(Columns)], new byte[format.ScaleBytesPerRow(Columns)]);
        for (var row = 0; row < values.Length / Columns; row++)
        {
            format.EncodeRow(values.AsSpan(row * Columns, Columns), tensorScale, codes, scales);
            Assert.True(expectedScales.AsSpan(row * scales.Length, scales.Length).SequenceEqual(scales),
                $"row {row}: scales {Hex(expectedScales, row, scales)} expected, got {System.Convert.ToHexString(scales)}");
            Assert.True(expectedCodes.AsSpan(row * codes.Length, codes.Length).SequenceEqual(codes),
                $"row {row}: codes {Hex(expectedCodes, row, codes)} expected, got {System.Convert.ToHexString(codes)}");
        }
    }

    static string Hex(byte[] all, int row, byte[] one) => System.Convert.ToHexString(all.AsSpan(row * one.Length, one.Length));

    static byte[] OneF32(float value)
    {
        var bytes = new byte[4];
        MemoryMarshal.Write(bytes, value);
        return bytes;
    }
}
