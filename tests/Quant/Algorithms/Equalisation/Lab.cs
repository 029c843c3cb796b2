using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Quant.Algorithms.Equalisation;
using Nibble.Quant.Calibration.Calibrators;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;
using Nibble.Tests.Support;
using NvFp4 = Nibble.Quant.Formats.NvFp4;

namespace Nibble.Tests.Quant.Algorithms.Equalisation;

/// <summary>One linear layer, three batches, and what ModelOpt made of them; see tests/fixtures/modelopt/README.md.</summary>
static class Lab
{
    /// <summary>
    /// Losses in F32, there and here, of sums over 10^5 terms. 2.3e-6 measured; a loss beside the best is 1.8 % above it.
    /// </summary>
    public const double Loss = 1e-5;

    /// <summary>Powers and quotients in F32 there, in double here: 4.1e-7 measured.</summary>
    public const double Scale = 2e-6;

    /// <summary>
    /// Outputs are sums of 256 products of rounded numbers: 3.9e-7 of the largest measured. No code differs.
    /// </summary>
    public const double Output = 2e-6;

    static readonly SafetensorsFile inputs = SafetensorsFile.Open(Repository.Fixture("modelopt/lab/inputs.safetensors"));
    static readonly SafetensorsFile results = SafetensorsFile.Open(Repository.Fixture("modelopt/lab/results.safetensors"));

    static readonly JsonElement json =
        JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("modelopt/lab/results.json"))).RootElement;

    /// <summary>[32, 256] F32.</summary>
    public static Tensor Weight { get; } = Nibble.Tensors.Convert.ToF32(inputs.Load("weight"));

    /// <summary>Three times [40, 256] F32.</summary>
    public static Tensor[] Batches { get; } =
        [.. Enumerable.Range(0, 3).Select(i => Nibble.Tensors.Convert.ToF32(inputs.Load($"x.{i}")).Reshape(40, 256))];

    public static JsonElement Case(string name) => json.GetProperty(name);

    public static Tensor Tensor(string name) => results.Load(name);

    public static float[] Floats(string name) => [.. results.Load(name).Span<float>()];

    public static AwqInputs Inputs()
    {
        var statistics = new AwqInputs("fc", 256);
        foreach (var batch in Batches)
            statistics.Observe(batch);
        return statistics;
    }

    public static BlockMoments Moments(int block, int sampled)
    {
        var moments = new BlockMoments("fc", 256, block, sampled);
        foreach (var batch in Batches)
            moments.Observe(batch);
        return moments;
    }

    /// <summary>The first four tokens of batch 0, times these factors.</summary>
    public static Tensor Tokens(float[]? factors = null)
    {
        var tokens = Batches[0].Slice(0, 4).Clone();
        if (factors is not null)
            for (var row = 0; row < 4; row++)
                for (var c = 0; c < 256; c++)
                    tokens.Row(row)[c] *= factors[c];
        return tokens;
    }

    public static Tensor Rounded(Tensor weight, WeightFormat format, Tensor? ranges = null)
    {
        var rounding = SimulatedRounding.Of(format);
        var result = Nibble.Tensors.Tensor.Empty(weight.Shape);
        rounding.Round(weight, ranges ?? rounding.Ranges(weight), result);
        return result;
    }

    public static Tensor RoundedRows(Tensor x, Action<Span<float>> round)
    {
        for (var row = 0; row < x.Rows; row++)
            round(x.Row(row));
        return x;
    }

    public static Tensor AsNvFp4(Tensor x, float amax) =>
        RoundedRows(x, row => new NvFp4Activation().Round(row, amax / NvFp4.Range));

    public static Tensor AsFp8(Tensor x, float amax) => RoundedRows(x, row => new Fp8PerTensor().Round(row, amax / 448));

    public static Tensor AsInt8(Tensor x, float amax) =>
        RoundedRows(x, row => SimulatedRounding.Of(new Int8PerChannel()).Round(row.ToArray(), amax, row));

    /// <summary>x·Wᵀ against the recorded output of a case.</summary>
    public static void CheckOutput(string name, Tensor x, Tensor weight, double tolerance = Output)
    {
        var y = Nibble.Tensors.Tensor.Empty(4, 32);
        MatMul.Apply(x, weight, y);
        CheckOutput(name, y, tolerance);
    }

    public static void CheckOutput(string name, Tensor y, double tolerance = Output) =>
        Close.Scaled(Floats(name + ".y").Select(value => (double)value).ToArray(), y.Span<float>(), tolerance, name);

    public static void Near(double expected, float actual, double tolerance = Scale) =>
        Close.Assert([expected], [actual], tolerance);
}
