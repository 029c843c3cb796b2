using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Tests.Quant.Formats;

public class ActivationFormatTests
{
    const int Columns = 32;

    [Theory]
    [InlineData("mxfp4-b32", "block.fake_mxfp4", 0)]
    [InlineData("mxfp8-b32", "block.fake_mxfp8", 0)]
    [InlineData("nvfp4-b16", "block.fake_nvfp4_global", -1)]
    [InlineData("nvfp4-b16", "block.fake_nvfp4_global10", 10)]
    public void Blocks_round_as_ModelOpt_simulates(string name, string fixture, float amax)
    {
        var format = Format(name);
        var (values, expected) = (ModelOpt.Floats("block.x"), ModelOpt.Floats(fixture));
        var scale = format.Scale(amax < 0 ? Amax.Of(values) : amax);
        for (var row = 0; row < values.Length / Columns; row++)
        {
            var block = values.AsSpan(row * Columns, Columns);
            format.Round(block, scale);
            var same = block.SequenceEqual(expected.AsSpan(row * Columns, Columns));
            Assert.True(same, $"row {row}: {string.Join(' ', block.ToArray())}");
        }
    }

    [Theory]
    [InlineData("mxfp4-b32", "e8m0.kernel_mxfp4_peak")]
    [InlineData("mxfp8-b32", "e8m0.kernel_mxfp8_peak")]
    public void Peaks_keep_their_exponent(string name, string fixture)
    {
        var (amax, expected) = (ModelOpt.Floats("e8m0.amax"), ModelOpt.Floats(fixture));
        for (var i = 0; i < amax.Length; i++)
        {
            var block = new float[Columns];
            block[5] = amax[i];
            Format(name).Round(block, 1);
            Assert.True(expected[i] == block[5], $"{amax[i]:R}: {expected[i]:R} expected, got {block[5]:R}");
        }
    }

    [Theory]
    [InlineData(448)]
    [InlineData(10)]
    public void Fp8_rounds_as_ModelOpt_simulates(float amax)
    {
        var (values, expected) = (ModelOpt.Floats("fp8_fake.x"), ModelOpt.Floats($"fp8_fake.y_amax{amax}"));
        new Fp8PerTensor().Round(values, new Fp8PerTensor().Scale(amax));
        Assert.Equal(expected, values);
    }

    [Theory]
    [InlineData(127)]
    [InlineData(100)]
    public void Int8_rounds_as_ModelOpt_simulates(float amax)
    {
        var (values, expected) = (ModelOpt.Floats("int.x"), ModelOpt.Floats($"int8_amax{amax}.fake"));
        new Int8PerTensor().Round(values, new Int8PerTensor().Scale(amax));
        for (var i = 0; i < values.Length; i++) // it divides by 127 / amax where we multiply with amax / 127: one rounding more or less
            Assert.InRange(values[i], expected[i] - MathF.Abs(expected[i]) * 2.4e-7f, expected[i] + MathF.Abs(expected[i]) * 2.4e-7f);
    }

    [Fact]
    public void Int8_equals_the_definition_at_every_length()
    {
        for (var length = 0; length <= 70; length++)
        {
            var (row, scale) = (Numbers.Awkward(length, length), new Int8PerTensor().Scale(length % 5));
            var expected = row.Select(x => (float)Math.Clamp(Math.Round((double)(x / scale)), -128, 127) * scale).ToArray();
            new Int8PerTensor().Round(row, scale);
            Assert.Equal(expected, row);
        }
    }

    [Fact]
    public void Fp8_of_a_token_uses_its_own_largest_magnitude()
    {
        for (var length = 1; length <= 70; length++)
        {
            var token = Numbers.Awkward(length, length);
            var expected = (float[])token.Clone();
            var scale = Amax.Of(token) / 448;
            new Fp8PerToken().Round(token, 123); // the scale is ignored
            if (scale > 1e-9f)
                foreach (ref var value in expected.AsSpan())
                    value = Float8.FromE4M3(Float8.ToE4M3(value * (1 / scale))) * scale;
            else
                expected.AsSpan().Clear();
            Assert.Equal(expected, token);
        }
    }

    [Theory]
    [InlineData("fp8-token")]
    [InlineData("mxfp4-b32")]
    [InlineData("mxfp8-b32")]
    [InlineData("nvfp4-b16")]
    [InlineData("fp8-tensor")]
    public void Zeros_stay_zeros(string name)
    {
        var row = new float[40];
        Format(name).Round(row, Format(name).Scale(0));
        Assert.All(row, value => Assert.Equal(0f, value));
    }

    [Fact]
    public void A_block_whose_scale_is_below_the_smallest_becomes_zero()
    {
        // amax 10: g = 10 / 2688, and the smallest block scale 2^-9·g = 7.3e-6 is below 10^-5; with amax 20 it is above.
        foreach (var (amax, expected) in new[] { (10f, 0f), (20f, 6 * (20f / 2688 / 512)) })
        {
            var block = new float[16];
            block[3] = 6 * (amax / 2688 / 512);
            new NvFp4Activation().Round(block, new NvFp4Activation().Scale(amax));
            Assert.Equal(expected, block[3]);
        }
    }

    [Theory]
    [InlineData("mxfp4-b32", 32)]
    [InlineData("mxfp8-b32", 32)]
    [InlineData("nvfp4-b16", 16)]
    public void A_short_last_block_rounds_as_if_zeros_followed(string name, int block)
    {
        for (var length = 1; length <= 3 * block; length++)
        {
            var row = Numbers.Awkward(length, length + 100);
            var padded = new float[(length + block - 1) / block * block];
            row.CopyTo(padded, 0);
            var scale = Format(name).Scale(300);
            Format(name).Round(row, scale);
            Format(name).Round(padded, scale);
            Assert.Equal(Numbers.BitsOf(padded.AsSpan(0, length)), Numbers.BitsOf(row));
        }
    }

    [Theory]
    [InlineData("llama", "fp8", "fp8-tensor")]
    [InlineData("vlm", "fp8", "fp8-tensor")]
    [InlineData("llama", "nvfp4", "nvfp4-b16")]
    [InlineData("vlm", "nvfp4", "nvfp4-b16")]
    public void Input_scales_are_those_of_the_checkpoint(string model, string preset, string name)
    {
        using var export = ModelOpt.Json($"exports/{model}/{preset}.json");
        var tensors = export.RootElement.GetProperty("tensors");
        var compared = 0;
        foreach (var amax in export.RootElement.GetProperty("amax").EnumerateObject())
        {
            if (!amax.Name.EndsWith(".input_quantizer", StringComparison.Ordinal))
                continue;
            var module = amax.Name.Replace(".input_quantizer", "").Replace("model.language_model.", "model.");
            var scale = Format(name).Scale(amax.Value.GetSingle());
            Assert.Equal(tensors.GetProperty(module + ".input_scale")[2].GetString(), Fingerprint.Of(scale));
            compared++;
        }
        Assert.Equal(14, compared);
    }

    static ActivationFormat Format(string name) => new ActivationFormat[]
    {
        new Fp8PerTensor(), new Fp8PerToken(), new Int8PerTensor(), new NvFp4Activation(), new MxFp4Activation(), new MxFp8Activation(),
    }.First(format => format.Name == name);
}
