using System.Text.Json;
using Nibble.Quant;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Quant.Formats;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms.Equalisation;

public class WeightSearchTests
{
    static readonly string[][] fusedModules =
    [
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], ["self_attn.o_proj"],
        ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"],
    ];

    [Theory]
    [InlineData("nvfp4_w4a4_weight_mse_fp8_sweep")]
    [InlineData("nvfp4_four_over_six")]
    [InlineData("nvfp4_w4a4_weight_local_hessian")]
    public void Block_scales_and_outputs_of_a_layer_equal_the_recording(string name)
    {
        var found = Search(name, Lab.Weight, null);
        Close.Assert(Lab.Floats(name + ".weight_amax"), found.Ranges.Span<float>(), Lab.Scale);
        var amax = Lab.Batches.Max(batch => WeightQuantizer.AbsMax(batch));
        var rounded = Tensor.Empty(Lab.Weight.Shape);
        for (var row = 0; row < 32; row++)
            for (var block = 0; block < 16; block++)
                NvFp4ScaleSearch.PlainRound(Lab.Weight.Row(row).Slice(block * 16, 16), found.Ranges.Row(row)[block], 1.5f,
                    name == "nvfp4_four_over_six" ? 256 : 448, rounded.Row(row).Slice(block * 16, 16));
        Lab.CheckOutput(name, Lab.AsNvFp4(Lab.Tokens(), amax), rounded);
    }

    [Theory]
    [InlineData("nvfp4_w4a4_weight_mse_fp8_sweep")]
    [InlineData("nvfp4_four_over_six")]
    public void All_layers_of_a_model_have_the_exported_bytes(string name)
    {
        using var export = ModelOpt.Json($"lab/llama-{name}.json");
        using var source = ModelOpt.Model("llama");
        var expected = export.RootElement.GetProperty("tensors").EnumerateObject()
            .ToDictionary(tensor => tensor.Name, tensor => tensor.Value[2].GetString()!);
        for (var layer = 0; layer < 2; layer++)
            foreach (var modules in fusedModules)
            {
                var names = modules.Select(module => $"model.layers.{layer}.{module}.weight").ToArray();
                var shared = names.Max(module => WeightQuantizer.AbsMax(source.Load(module)));
                foreach (var module in names)
                {
                    var weight = source.Load(module);
                    var quantized = Search(name, weight, shared).Quantize(weight);
                    Check(module, Fingerprint.Of(quantized.Codes));
                    Check(module + "_scale", Fingerprint.Of(quantized.Scales!));
                    Check(module + "_scale_2", Fingerprint.Of(quantized.TensorScale));
                }
            }
        Assert.Empty(expected);

        void Check(string tensor, string fingerprint)
        {
            Assert.True(expected.Remove(tensor, out var recorded), $"{tensor} was not exported");
            Assert.True(recorded == fingerprint, $"{tensor}: {recorded} expected, got {fingerprint}");
        }
    }

    [Theory]
    [InlineData("mse_int8", 0.25, 4, 0.1)]
    [InlineData("mse_int8_fine", 0.5, 1.2, 0.05)]
    [InlineData("mse_int4", 0.25, 4, 0.1)]
    [InlineData("mse_fp8", 0.25, 4, 0.1)]
    public void Ranges_of_least_error_equal_the_recording(string name, double start, double stop, double step)
    {
        WeightFormat format = name switch { "mse_int4" => new Int4(), "mse_fp8" => new Fp8(), _ => new Int8PerChannel() };
        var ranges = WeightAmaxSearch.Search(Lab.Weight, format, start, stop, step);
        float[] expected = name == "mse_fp8"
            ? [Lab.Case(name).GetProperty("weight_amax").GetSingle()]
            : Lab.Floats(name + ".weight_amax");
        Close.Assert(expected, ranges.Span<float>(), Lab.Scale);
        var tokens = Lab.Tokens();
        var amax = Lab.Batches.Max(batch => WeightQuantizer.AbsMax(batch));
        if (name != "mse_int4")
            tokens = name == "mse_fp8" ? Lab.AsFp8(tokens, amax) : Lab.AsInt8(tokens, amax);
        Lab.CheckOutput(name, tokens, Lab.Rounded(Lab.Weight, format, ranges));
    }

    public static TheoryData<string> RangedFormats() => ["int4", "int8", "fp8", "nvfp4", "int3"];

    [Theory, MemberData(nameof(RangedFormats))]
    public void Under_its_own_ranges_a_weight_has_the_bytes_of_round_to_nearest(string name)
    {
        WeightFormat format = name switch
        {
            "int4" => new Int4(),
            "int8" => new Int8PerChannel(),
            "fp8" => new Fp8PerChannel(),
            "nvfp4" => new NvFp4(),
            _ => new IntGroup(3, 64),
        };
        var expected = WeightQuantizer.Quantize(Lab.Weight, format);
        var length = format.Group == 0 ? 256 : format.Group;
        var ranges = Tensor.Empty(32, 256 / length);
        for (var row = 0; row < 32; row++)
            for (var group = 0; group < ranges.Columns; group++)
                ranges.Row(row)[group] = Lab.Weight.Row(row).Slice(group * length, length).ToArray().Max(MathF.Abs);
        var found = RangedWeight.Quantize(Lab.Weight, format, ranges, expected.TensorScale);
        Assert.Equal(Fingerprint.Of(expected.Codes), Fingerprint.Of(found.Codes));
        Assert.Equal(Fingerprint.Of(expected.Scales!), Fingerprint.Of(found.Scales!));
    }

    [Fact]
    public void A_clipped_weight_saturates()
    {
        var weight = Tensor.From([.. Enumerable.Range(0, 16).Select(i => i / 16f)], 1, 16);
        var quantized = RangedWeight.Quantize(weight, new Int4(16), Tensor.From([0.5f], 1, 1));
        var row = new float[16];
        quantized.Decode(0, 0, row);
        Assert.Equal(0.5f, row[15]);
        Assert.Equal(0.5f, row.Max());
    }

    [Fact]
    public void The_chosen_block_scale_is_the_best_written_out()
    {
        var weight = Tensor.From(Numbers.Awkward(48 * 16, 4).Select(value => Math.Clamp(value, -40, 40)).ToArray(), 3, 256);
        var amax = WeightQuantizer.AbsMax(weight);
        var found = NvFp4ScaleSearch.Sweep(weight);
        var rounded = new float[16];
        for (var row = 0; row < 3; row++)
            for (var block = 0; block < 16; block++)
            {
                var values = weight.Row(row).Slice(block * 16, 16).ToArray();
                double least = double.PositiveInfinity, chosen = Error(found.Ranges.Row(row)[block]);
                for (var code = 1; code <= 126; code++)
                    least = Math.Min(least, Error(Float8.FromE4M3((byte)code) / 448 * amax));
                Assert.True(chosen <= least * (1 + 1e-5), $"row {row}, block {block}: {chosen} instead of {least}");

                double Error(float range)
                {
                    NvFp4ScaleSearch.PlainRound(values, range, amax, 448, rounded);
                    return values.Zip(rounded).Sum(pair => ((double)pair.First - pair.Second) * (pair.First - pair.Second));
                }
            }
    }

    [Fact]
    public void Wrong_shapes_and_ranges_are_refused()
    {
        Refused("[32, 2]", () => RangedWeight.Quantize(Lab.Weight, new Int4(), Tensor.Zeros(32, 1)));
        Refused("-1", () => RangedWeight.Quantize(Tensor.Zeros(1, 16), new Int4(16), Tensor.From([-1], 1, 1)));
        Refused("fp8-tensor", () => RangedWeight.Quantize(Lab.Weight, new Fp8(), Tensor.Zeros(32, 1)));
        Refused("multiple", () => NvFp4ScaleSearch.Sweep(Tensor.Zeros(2, 20)));
        Refused("blocks of 16", () => NvFp4ScaleSearch.LocalHessian(Lab.Weight, Lab.Moments(128, 0)));
        Refused("-2", () => NvFp4ScaleSearch.FourOverSix(Lab.Weight, -2));
        Assert.All(NvFp4ScaleSearch.Sweep(Tensor.Zeros(2, 32)).Quantize(Tensor.Zeros(2, 32)).Codes.Span<byte>().ToArray(),
            code => Assert.Equal(0, code));

        static void Refused(string part, Action act) => Assert.Contains(part, Assert.Throws<QuantizationException>(act).Message);
    }

    [Fact]
    public void Importance_of_one_changes_nothing_and_other_importance_lowers_its_own_error()
    {
        var ones = Enumerable.Repeat(1f, Lab.Weight.Columns).ToArray();
        Assert.Equal(NvFp4ScaleSearch.Sweep(Lab.Weight).Ranges.Span<float>(), NvFp4ScaleSearch.Importance(Lab.Weight, ones).Ranges.Span<float>());
        Assert.Equal(WeightAmaxSearch.Search(Lab.Weight, new Int4()).Span<float>(),
            WeightAmaxSearch.Search(Lab.Weight, new Int4(), importance: ones).Span<float>());

        var importance = Draw.Normal(Lab.Weight.Columns, seed: 5).Select(x => x * x).ToArray();
        Assert.True(Weighed(NvFp4ScaleSearch.Importance(Lab.Weight, importance).Quantize(Lab.Weight), importance)
            < Weighed(NvFp4ScaleSearch.Sweep(Lab.Weight).Quantize(Lab.Weight), importance));
        Assert.True(Weighed(RangedWeight.Quantize(Lab.Weight, new Int4(), WeightAmaxSearch.Search(Lab.Weight, new Int4(), importance: importance)), importance)
            < Weighed(RangedWeight.Quantize(Lab.Weight, new Int4(), WeightAmaxSearch.Search(Lab.Weight, new Int4())), importance));
    }

    /// <summary>The definition: of all 126 ranges the first of least Σ importance·(Q(w) - w)².</summary>
    [Fact]
    public void Important_blocks_have_the_range_of_least_weighed_error()
    {
        var importance = Draw.Normal(Lab.Weight.Columns, seed: 6).Select(x => x * x).ToArray();
        var amax = WeightQuantizer.AbsMax(Lab.Weight);
        var found = NvFp4ScaleSearch.Importance(Lab.Weight, importance);
        var rounded = new float[16];
        for (var block = 0; block < 16; block++)
        {
            ReadOnlySpan<float> values = Lab.Weight.Row(3).Slice(block * 16, 16);
            double least = double.PositiveInfinity, chosen = 0;
            for (var code = 1; code <= 126; code++)
            {
                var range = Float8.FromE4M3((byte)code) / 448 * amax;
                NvFp4ScaleSearch.PlainRound(values, range, amax, 448, rounded);
                var error = 0.0;
                for (var i = 0; i < 16; i++)
                    error += importance[block * 16 + i] * Math.Pow((double)rounded[i] - values[i], 2);
                least = Math.Min(least, error);
                if (range == found.Ranges.Row(3)[block])
                    chosen = error;
            }
            Assert.InRange(chosen, least, least * (1 + 1e-5));
        }
    }

    static double Weighed(QuantizedWeight quantized, float[] importance)
    {
        var decoded = new float[quantized.Columns];
        var error = 0.0;
        for (var row = 0; row < quantized.Rows; row++)
        {
            quantized.Decode(row, 0, decoded);
            for (var i = 0; i < decoded.Length; i++)
                error += importance[i] * Math.Pow((double)decoded[i] - Lab.Weight.Row(row)[i], 2);
        }
        return error;
    }

    static BlockScales Search(string name, Tensor weight, float? amax) => name switch
    {
        "nvfp4_four_over_six" => NvFp4ScaleSearch.FourOverSix(weight, amax),
        "nvfp4_w4a4_weight_mse_fp8_sweep" => NvFp4ScaleSearch.Sweep(weight, amax),
        _ => NvFp4ScaleSearch.LocalHessian(weight, Lab.Moments(16, 0), amax),
    };
}
