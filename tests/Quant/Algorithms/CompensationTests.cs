using Nibble.Quant;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Algorithms.Compensation.Definitions;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms;

/// <summary>The public entry: every format, sizes with remainders, and what happens where the data is poor.</summary>
public sealed class CompensationTests
{
    const double LossTolerance = 1e-4; // 1.2e-6 measured
    const double CodeTolerance = 0.03; // of the codes; 1.1 % measured, where a row takes another turn at a near tie

    static readonly CompensationOptions none = CompensationOptions.Gptq with { Compensate = false, Search = ScaleSearch.Standard };

    public static TheoryData<string> Formats =>
        ["int4-g32", "int3-g32", "int2-g32-asym", "int8-channel", "nvfp4-b16", "mxfp4-b32", "fp8-channel", "fp8-tensor", "mxfp8-b32",
        "int4-g32-fp8", "nvfp4-b32-fp8"];

    public static TheoryData<string, string> FormatsAndPresets
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var format in Formats)
                foreach (var preset in (string[])["gptq", "gptaq", "vlm-ptq", "best"])
                    data.Add(format.Data, preset);
            data.Add("int4-g32", "text");
            return data;
        }
    }

    [Theory, MemberData(nameof(FormatsAndPresets))]
    public void Every_format_comes_out_better_than_rounding_and_as_good_as_the_definition(string name, string preset)
    {
        // 160 inputs are a whole block of columns and a quarter of one.
        var (format, options, sample) = (Format(name), Preset(preset), Sample.Remembered);
        var result = Compensation.Quantize(sample.Context, format, options);
        var defined = new CompensationDefinition(sample.Defined, Grids.Of(format), options).Quantize();

        Assert.Same(format, result.Weight.Format);
        Assert.Empty(result.Notes);
        var loss = sample.Loss(Decode(result.Weight));
        Assert.True(Math.Abs(loss / sample.Loss(defined.Values) - 1) < LossTolerance,
            $"loss {loss}, the definition {sample.Loss(defined.Values)}");
        var rounded = sample.Loss(Decode(WeightQuantizer.Quantize(sample.Context.Weight, format)));
        if (format.CodeBits < 8 || options.Shift != Shift.None) // what GPTQ leaves in 8 bits is less than what it cannot know of
            Assert.True(loss < rounded, $"loss {loss}, rounded to nearest {rounded}");
        var (differing, decoded) = (0, Decode(result.Weight));
        for (var i = 0; i < decoded.Rows; i++)
            for (var j = 0; j < decoded.Columns; j++)
                if (Math.Abs(decoded[i, j] - defined.Values[i, j]) > 1e-6 * Math.Abs(decoded[i, j]))
                    differing++;
        Assert.True(differing <= CodeTolerance * decoded.Rows * decoded.Columns, $"{differing} codes differ");
    }

    [Theory, MemberData(nameof(Formats))]
    public void Without_search_and_compensation_it_is_rounding_to_nearest(string name)
    {
        if (name == "int2-g32-asym")
            return; // here the width of a range is taken in double: its scale may be another in the last place
        var (format, sample) = (Format(name), Sample.Draw(7, 96, 200));
        var result = Compensation.Quantize(sample.Context, format, none).Weight;
        var expected = WeightQuantizer.Quantize(sample.Context.Weight, format);
        Assert.Equal(expected.TensorScale, result.TensorScale);
        Assert.Equal(Bytes(expected.Codes), Bytes(result.Codes));
        if (expected.Scales is not null)
            Assert.Equal(Bytes(expected.Scales), Bytes(result.Scales!));
    }

    [Fact]
    public void Blocks_and_rows_do_not_change_the_result()
    {
        var sample = Sample.Remembered;
        var expected = Decode(Compensation.Quantize(sample.Context, new Int4(32), CompensationOptions.Gptaq).Weight);
        foreach (var block in (int[])[1, 7, 100, 500])
        {
            var other = Decode(Compensation.Quantize(
                sample.Context, new Int4(32), CompensationOptions.Gptaq with { Block = block }).Weight);
            Assert.True(Math.Abs(sample.Loss(other) / sample.Loss(expected) - 1) < LossTolerance, $"blocks of {block}");
        }
        var few = sample.Context with { Weight = sample.Context.Weight.Slice(3, 5) };
        var part = Decode(Compensation.Quantize(few, new Int4(32), CompensationOptions.Gptaq).Weight);
        for (var i = 0; i < 5; i++)
            Assert.Equal(expected.Row(i + 3).ToArray(), part.Row(i).ToArray());
    }

    [Fact]
    public void A_shared_magnitude_makes_the_scale_of_the_matrix()
    {
        var sample = Sample.Draw(4, 64, 100);
        var options = CompensationOptions.Gptq with { SharedAmax = 10, Search = ScaleSearch.Standard };
        Assert.Equal(new NvFp4().TensorScale(10), Compensation.Quantize(sample.Context, new NvFp4(), options).Weight.TensorScale);
    }

    [Fact]
    public void Weights_of_dead_inputs_become_zero_and_are_noted()
    {
        var sample = Sample.Draw(8, 64, 200, x => x[5] = 0);
        var result = Compensation.Quantize(sample.Context, new Int4(32), CompensationOptions.Best);
        Assert.Contains("1 of 64 inputs", Assert.Single(result.Notes));
        var decoded = Decode(result.Weight);
        for (var i = 0; i < 8; i++)
            Assert.Equal(0, decoded[i, 5]);
    }

    [Fact]
    public void The_damping_is_raised_where_the_moments_are_singular()
    {
        var sample = Sample.Draw(8, 64, 20, x => x[9] = x[5]);
        var result = Compensation.Quantize(sample.Context, new Int4(32), CompensationOptions.Gptq with { Damping = 0 });
        Assert.True(result.Damping > 0);
        Assert.Contains(result.Notes, note => note.StartsWith("damping raised from 0 to", StringComparison.Ordinal));
        Assert.Contains("20 tokens for 64 inputs: the damping decides much", result.Notes);
        Assert.True(double.IsFinite(sample.Loss(Decode(result.Weight))));
    }

    [Fact]
    public void Moments_that_no_damping_helps_are_rounded_to_nearest()
    {
        var sample = Sample.Draw(8, 64, 200);
        foreach (var part in sample.Context.Inputs.Parts)
            part.H.Row(3)[3] = -1e12f;
        var result = Compensation.Quantize(sample.Context, new Int4(32), CompensationOptions.Best);
        Assert.Null(result.Damping);
        Assert.Contains("cannot be inverted", Assert.Single(result.Notes));
        Assert.True(sample.WeightError(Decode(result.Weight)) < 0.02);
    }

    [Fact]
    public void A_module_no_token_reached_is_rounded_to_nearest()
    {
        var weight = Draw.Tensor(1, 8, 64);
        var part = new MomentPart(null, 0, Tensor.Zeros(64, 64), null, 0);
        foreach (var options in (CompensationOptions[])[CompensationOptions.Best, CompensationOptions.VlmPtq])
        {
            var result = Compensation.Quantize(new("expert", weight, new([part])), new NvFp4(), options);
            Assert.Contains(result.Notes, note => note.StartsWith("no token reached it", StringComparison.Ordinal));
            Assert.Null(result.Damping);
        }
    }

    [Fact]
    public void One_fold_and_one_modality_are_enough()
    {
        var sample = Sample.Draw(8, 64, 300);
        var parts = sample.Context.Inputs.Parts;
        var merged = new MomentPart(Modality.Text, 0, parts[0].H, parts[0].D, 300);
        var result = Compensation.Quantize(
            sample.Context with { Inputs = new([merged]) }, new Int4(32), CompensationOptions.Best);
        Assert.Equal(0.25, result.Alpha);
        Assert.Equal(["one fold only: α = 0.25 for 4.7 tokens per input"], result.Notes);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void What_is_not_finite_is_refused_by_name(float wrong)
    {
        foreach (var spoil in (Action<LayerContext>[])[layer => layer.Weight.Row(2)[7] = wrong,
            layer => layer.Inputs.Parts[1].H.Row(5)[60] = wrong, layer => layer.Inputs.Parts[3].D!.Row(63)[0] = wrong])
        {
            var layer = Sample.Draw(8, 64, 100).Context with { Name = "model.layers.3.mlp.down_proj" };
            spoil(layer);
            var error = Assert.Throws<QuantizationException>(() => Compensation.Quantize(layer, new Int4(32), CompensationOptions.Best));
            Assert.StartsWith("model.layers.3.mlp.down_proj: finite", error.Message);
        }
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        var layer = Sample.Draw(8, 64, 100).Context;
        var wrong = layer with { Inputs = new([new(null, 0, Tensor.Zeros(32, 32), null, 1)]) };
        Refused("H [64, 64] F32 expected", wrong, CompensationOptions.Gptq);
        Refused("found none", layer with { Inputs = new([]) }, CompensationOptions.Gptq);
        Refused("fold 0 or 1", layer with { Inputs = new([new(null, 2, Tensor.Zeros(64, 64), null, 1)]) }, CompensationOptions.Gptq);
        Refused("not a multiple of the group", layer, CompensationOptions.Gptq, new Int4(48));
        Refused("α is 0 to 1", layer, CompensationOptions.Best with { Alpha = 1.5 });
        Refused("damping", layer, CompensationOptions.Best with { Damping = double.NaN });
        Refused("own order", layer, CompensationOptions.Gptaq with { ActOrder = true });
        Refused("dynamic groups exclude", layer, CompensationOptions.Best with { DynamicGroups = true });
        Refused("a second search", layer, CompensationOptions.Best with { Search = ScaleSearch.Standard });
        Refused("a second search", layer, CompensationOptions.Best with { SecondSearch = ScaleSearch.Modality });
    }

    static void Refused(string message, LayerContext layer, CompensationOptions options, WeightFormat? format = null) =>
        Assert.Contains(message, Assert.Throws<QuantizationException>(
            () => Compensation.Quantize(layer, format ?? new Int4(32), options)).Message);

    static WeightFormat Format(string name) => name switch
    {
        "int4-g32" => new Int4(32),
        "int3-g32" => new IntGroup(3, 32),
        "int2-g32-asym" => new IntGroup(2, 32, symmetric: false),
        "int8-channel" => new Int8PerChannel(),
        "nvfp4-b16" => new NvFp4(),
        "mxfp4-b32" => new MxFp4(),
        "fp8-channel" => new Fp8PerChannel(),
        "fp8-tensor" => new Fp8(),
        "int4-g32-fp8" => new Int4Fp8(32),
        "nvfp4-b32-fp8" => new NvFp4(32, InFp8: true),
        _ => new MxFp8(),
    };

    [Theory]
    [InlineData("int3-g32")]
    [InlineData("int2-g32-asym")]
    [InlineData("nvfp4-b16")]
    public void Every_row_keeps_the_start_that_leaves_less_error(string name)
    {
        var (format, sample) = (Format(name), Sample.Remembered);
        var options = CompensationOptions.Best with { SecondSearch = null };
        Matrix Values(CompensationOptions chosen) => Decode(Compensation.Quantize(sample.Context, format, chosen).Weight);
        Matrix first = Values(options), second = Values(options with { Search = ScaleSearch.Error }), kept = Values(CompensationOptions.Best);
        using var shared = SharedMoments.Of([sample.Context], options);
        using var target = sample.Context.Weight.Clone();
        using var shift = WeightShift.Exact(target, shared.D!, shared.Damped!);
        var alpha = shared.Alpha(0)!.Value;
        var h = shared.Damped!.H;
        var seconds = 0;
        for (var row = 0; row < kept.Rows; row++)
        {
            var better = Error(second, row) < Error(first, row) ? second : first;
            Assert.Equal(better.Row(row).ToArray(), kept.Row(row).ToArray());
            seconds += better == second ? 1 : 0;
        }
        Assert.InRange(seconds, 1, kept.Rows - 1);

        double Error(Matrix values, int row)
        {
            var difference = new double[values.Columns];
            for (var j = 0; j < difference.Length; j++)
                difference[j] = values[row, j] - target.Row(row)[j] - 2 * alpha / (1 + alpha) * shift.Row(row)[j];
            var error = 0.0;
            for (var j = 0; j < difference.Length; j++)
                for (var k = 0; k < difference.Length; k++)
                    error += difference[j] * h.Row(j)[k] * difference[k];
            return error;
        }
    }

    [Fact]
    public void The_shift_of_all_tokens_is_trusted_more_than_that_of_half()
    {
        var sample = Sample.Remembered;
        double Alpha(bool all) => Compensation.Quantize(sample.Context, new Int4(32),
            CompensationOptions.Best with { AlphaOfAllTokens = all }).Alpha;
        var half = Alpha(false);
        Assert.InRange(half, 0.05, 0.95);
        Assert.Equal(2 * half / (1 + half), Alpha(true), 1e-12);
    }

    static CompensationOptions Preset(string name) => name switch
    {
        "gptq" => CompensationOptions.Gptq,
        "gptaq" => CompensationOptions.Gptaq,
        "vlm-ptq" => CompensationOptions.VlmPtq,
        "text" => CompensationOptions.Best with { TextShare = 0.9 },
        _ => CompensationOptions.Best,
    };

    static unsafe byte[] Bytes(Tensor tensor) => new ReadOnlySpan<byte>(tensor.Pointer, (int)tensor.Bytes).ToArray();

    internal static Matrix Decode(QuantizedWeight weight)
    {
        var row = new float[weight.Columns];
        var decoded = new Matrix(weight.Rows, weight.Columns);
        for (var i = 0; i < weight.Rows; i++)
        {
            weight.Decode(i, 0, row);
            for (var j = 0; j < row.Length; j++)
                decoded[i, j] = row[j];
        }
        return decoded;
    }
}
