using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Runtime;
using Nibble.Tensors;
using Nibble.Tests.Quant.Formats;

namespace Nibble.Tests.Quant.Runtime;

public class PackedWeightTests
{
    /// <summary>Of 256 products summed in F32, relative to the sum of their magnitudes; 1.5e-7 measured.</summary>
    const double Relative = 1e-6;

    [Fact]
    public void Multiplies_rounded_inputs_with_decoded_weights()
    {
        const int Rows = 19, Columns = 256;
        foreach (var scheme in Schemes.All.Select(entry => entry.Scheme))
            foreach (var tokens in new[] { 1, 5, 40 })
            {
                var x = Draw(tokens, Columns, 2);
                var before = x.Span<float>().ToArray();
                var weight = WeightQuantizer.Quantize(Draw(Rows, Columns, 1), scheme.Weight);
                var scale = scheme.Activation?.Scale(WeightQuantizer.AbsMax(x)) ?? 1;
                var y = Tensor.Empty(tokens, Rows);
                new PackedWeight(weight, scheme.Activation, scale).Multiply(x, y);
                Assert.Equal(before, x.Span<float>().ToArray()); // the layer's input stays as it was

                for (var token = 0; token < tokens; token++)
                {
                    var input = x.Row(token).ToArray();
                    scheme.Activation?.Round(input, scale);
                    for (var row = 0; row < Rows; row++)
                    {
                        var (sum, magnitude) = Dot(weight, row, input);
                        Assert.InRange(y.Row(token)[row] - sum, -Relative * magnitude, Relative * magnitude);
                    }
                }
            }
    }

    /// <summary>
    /// y = Q(x·s)·Wᵀ + (x·s)·Aᵀ·Bᵀ in double, with every combination of the parts that may be missing.
    /// </summary>
    [Theory]
    [InlineData("nvfp4", true, 0)]
    [InlineData("nvfp4", false, 5)]
    [InlineData("nvfp4", true, 5)]
    [InlineData("int8", true, 0)]
    [InlineData("w4a8", true, 1)]
    [InlineData("int4", true, 0)]
    [InlineData("int4", false, 5)]
    [InlineData("int4", true, 5)]
    public void Multiplies_scaled_inputs_and_adds_the_part_of_low_rank(string name, bool factors, int rank)
    {
        const int Rows = 19, Columns = 256, Tokens = 3;
        var scheme = Schemes.Find(name)!;
        var (x, weight) = (Draw(Tokens, Columns, 2), WeightQuantizer.Quantize(Draw(Rows, Columns, 1), scheme.Weight));
        var s = factors ? Draw(1, Columns, 3).Span<float>().ToArray().Select(value => MathF.Abs(value) + 0.1f).ToArray() : null;
        var part = rank > 0 ? new LowRank(Draw(rank, Columns, 4), Draw(Rows, rank, 5)) : null;
        var scale = scheme.Activation?.Scale(3) ?? 1;
        var (before, y) = (x.Span<float>().ToArray(), Tensor.Empty(Tokens, Rows));
        new PackedWeight(weight, scheme.Activation, scale) { PreQuantScale = s, LowRank = part }.Multiply(x, y);
        Assert.Equal(before, x.Span<float>().ToArray());
        for (var token = 0; token < Tokens; token++)
        {
            var scaled = x.Row(token).ToArray().Select((value, i) => value * (s?[i] ?? 1)).ToArray();
            var rounded = (float[])scaled.Clone();
            scheme.Activation?.Round(rounded, scale);
            for (var row = 0; row < Rows; row++)
            {
                var (sum, magnitude) = Dot(weight, row, rounded);
                for (var r = 0; r < rank; r++)
                    for (var i = 0; i < Columns; i++)
                    {
                        var term = (double)scaled[i] * part!.Down.Row(r)[i] * part.Up.Row(row)[r];
                        (sum, magnitude) = (sum + term, magnitude + Math.Abs(term));
                    }
                Assert.InRange(y.Row(token)[row] - sum, -Relative * magnitude, Relative * magnitude);
            }
        }
    }

    [Fact]
    public void Parts_that_do_not_fit_are_refused()
    {
        var weight = WeightQuantizer.Quantize(Draw(8, 32, 1), new NvFp4());
        Assert.Throws<QuantizationException>(() => new PackedWeight(weight) { PreQuantScale = new float[31] });
        Assert.Throws<QuantizationException>(() => new PackedWeight(weight) { LowRank = new(Draw(2, 31, 1), Draw(8, 2, 1)) });
        Assert.Throws<QuantizationException>(() => new PackedWeight(weight) { LowRank = new(Draw(2, 32, 1), Draw(7, 2, 1)) });
        Assert.Throws<QuantizationException>(() => new PackedWeight(weight) { LowRank = new(Draw(2, 32, 1), Draw(8, 3, 1)) });
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        var packed = new PackedWeight(WeightQuantizer.Quantize(Draw(8, 32, 1), new NvFp4()));
        Assert.Throws<ShapeException>(() => packed.Multiply(Tensor.Zeros(2, 16), Tensor.Zeros(2, 8)));
        Assert.Throws<ShapeException>(() => packed.Multiply(Tensor.Zeros(2, 32), Tensor.Zeros(2, 9)));
        Assert.Throws<ShapeException>(() => packed.Multiply(Tensor.Zeros(2, 32), Tensor.Zeros(3, 8)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_scale_that_is_no_scale_is_refused(float scale)
    {
        var weight = WeightQuantizer.Quantize(Draw(8, 32, 1), new Fp8());
        Assert.Throws<QuantizationException>(() => new PackedWeight(weight, new Fp8PerTensor(), scale));
        Assert.Throws<QuantizationException>(() => new QuantizedKeyValues(new Fp8KeyValues(), scale, 1));
        Assert.Throws<QuantizationException>(() => new QuantizedKeyValues(new Fp8KeyValues(), 1, scale));
    }

    [Fact]
    public void Keys_and_values_are_rounded_head_by_head_with_their_own_scales()
    {
        var (keys, values) = (Draw(3, 2 * 32, 3).Reshape(3, 2, 32), Draw(3, 2 * 32, 4).Reshape(3, 2, 32));
        foreach (var format in Schemes.AllKeyValues.Select(entry => entry.Format).Where(format => !format.Rotates))
        {
            var (k, v) = (keys.Clone(), values.Clone());
            new QuantizedKeyValues(format, format.Scale(5), format.Scale(9)).Apply(k, v);
            for (var row = 0; row < 6; row++)
            {
                var (key, value) = (keys.Row(row).ToArray(), values.Row(row).ToArray());
                format.Round(key, format.Scale(5));
                format.Round(value, format.Scale(9));
                Assert.Equal(key, k.Row(row).ToArray());
                Assert.Equal(value, v.Row(row).ToArray());
            }
        }
    }

    static (double Sum, double Magnitude) Dot(QuantizedWeight weight, int row, float[] input)
    {
        var decoded = new float[weight.Columns];
        weight.Decode(row, 0, decoded);
        var (sum, magnitude) = (0.0, 0.0);
        for (var column = 0; column < decoded.Length; column++)
        {
            sum += (double)decoded[column] * input[column];
            magnitude += Math.Abs((double)decoded[column] * input[column]);
        }
        return (sum, magnitude);
    }

    static Tensor Draw(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        var tensor = Tensor.Empty(rows, columns);
        foreach (ref var value in tensor.Span<float>())
            value = (random.NextSingle() - 0.5f) * 4;
        return tensor;
    }
}
