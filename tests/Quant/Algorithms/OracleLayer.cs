using System.Text.Json;
using Nibble.Export.Safetensors;
using Nibble.Quant.Algorithms.Compensation;
using Nibble.Quant.Algorithms.Compensation.Definitions;
using Nibble.Quant.Calibration;
using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tests.Support;

namespace Nibble.Tests.Quant.Algorithms;

/// <summary>One layer of <c>fixtures/algorithms</c>: inputs, recorded codes and scales, and the moments of its tokens.</summary>
sealed class OracleLayer
{
    static readonly Dictionary<string, OracleLayer> opened = [];

    readonly SafetensorsFile results;
    readonly JsonElement methods;
    readonly Matrix x, target;

    OracleLayer(string name)
    {
        Name = name;
        using var inputs = SafetensorsFile.Open(Repository.Fixture($"algorithms/{name}/inputs.safetensors"));
        results = SafetensorsFile.Open(Repository.Fixture($"algorithms/{name}/results.safetensors"));
        methods = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture($"algorithms/{name}/results.json"))).RootElement
            .GetProperty("methods");
        Weight = Read(inputs, "W");
        x = Read(inputs, "X");
        var original = Read(inputs, "Xt");
        target = original * Weight.Transpose();
        Parts = Moments(x, original, target, inputs.Load("vision").Span<byte>().ToArray(), inputs.Load("fold").Span<byte>().ToArray());
        Defined = new DefinedLayer(Weight, Parts);
        Context = new LayerContext(name, Single(Weight), new InputMoments([.. Parts.Select(part =>
            new MomentPart(part.Modality, part.Fold, Single(part.H), Single(part.D), part.Tokens))]))
        {
            OutputEnergies = [.. Parts.Select(part => part.OutputEnergy)],
        };
    }

    public string Name { get; }

    public Matrix Weight { get; }

    public IReadOnlyList<DefinedPart> Parts { get; }

    public DefinedLayer Defined { get; }

    public LayerContext Context { get; }

    public static OracleLayer Open(string name)
    {
        lock (opened)
            return opened.TryGetValue(name, out var layer) ? layer : opened[name] = new OracleLayer(name);
    }

    /// <summary>Every method of a layer.</summary>
    public IEnumerable<OracleMethod> Methods => methods.EnumerateObject().Select(method => new OracleMethod(this, method));

    public Matrix Recorded(string tensor) => Read(results, tensor);

    public bool Has(string tensor) => results.Find(tensor) is not null;

    /// <summary>‖X·Qᵀ − X̃·Wᵀ‖² / ‖X̃·Wᵀ‖².</summary>
    public double Loss(Matrix values)
    {
        var difference = x * values.Transpose() - target;
        return Matrix.Inner(difference, difference) / Matrix.Inner(target, target);
    }

    public static Tensor Single(Matrix matrix)
    {
        var tensor = Tensor.Empty(matrix.Rows, matrix.Columns);
        for (var i = 0; i < matrix.Rows; i++)
            for (var j = 0; j < matrix.Columns; j++)
                tensor.Row(i)[j] = (float)matrix[i, j];
        return tensor;
    }

    public static Matrix Read(SafetensorsFile file, string name)
    {
        var tensor = file.Load(name);
        var (rows, columns) = (tensor.Shape.Rank == 1 ? 1 : (int)tensor.Shape[0], tensor.Columns);
        return Matrix.Create(rows, columns, (i, j) => tensor.DType switch
        {
            DType.F64 => tensor.Row<double>(i)[j],
            DType.F32 => tensor.Row(i)[j],
            DType.BF16 => BitConverter.Int32BitsToSingle(tensor.Row<ushort>(i)[j] << 16),
            DType.I8 => tensor.Row<sbyte>(i)[j],
            _ => tensor.Row<byte>(i)[j],
        });
    }

    internal static List<DefinedPart> Moments(Matrix x, Matrix original, Matrix target, byte[] vision, byte[] fold)
    {
        var parts = new List<DefinedPart>();
        foreach (var modality in (Modality[])[Modality.Vision, Modality.Text])
            foreach (var f in (int[])[0, 1])
            {
                var (h, d, tokens, energy) = (new Matrix(x.Columns, x.Columns), new Matrix(x.Columns, x.Columns), 0, 0.0);
                for (var t = 0; t < x.Rows; t++)
                {
                    if (vision[t] != (byte)modality || fold[t] != f)
                        continue;
                    tokens++;
                    foreach (var output in target.Row(t))
                        energy += output * output / x.Rows;
                    for (var i = 0; i < x.Columns; i++)
                        for (var j = 0; j < x.Columns; j++)
                        {
                            h[i, j] += x[t, i] * x[t, j] / x.Rows;
                            d[i, j] += (original[t, i] - x[t, i]) * x[t, j] / x.Rows;
                        }
                }
                parts.Add(new(modality, f, h, d, tokens, energy));
            }
        return parts;
    }
}

/// <summary>One recorded run of a method.</summary>
sealed class OracleMethod(OracleLayer layer, JsonProperty recorded)
{
    readonly JsonElement settings = recorded.Value.GetProperty("settings");

    public string Name => recorded.Name;

    /// <summary>Rounded to nearest by the largest magnitudes of symmetric groups: every row has an exact tie.</summary>
    public bool HasTies => Text("search") == "minmax" && Flag("sym");

    public double Loss => recorded.Value.GetProperty("loss").GetProperty("calib").GetDouble();

    /// <summary>What a right F32 implementation was measured to be off by.</summary>
    public (int Codes, double Loss) Single =>
        (recorded.Value.GetProperty("float32").GetProperty("codes").GetInt32(),
        recorded.Value.GetProperty("float32").GetProperty("loss").GetDouble());

    public double? Alpha => Number("alpha", recorded.Value);

    public double? Mu => Number("mu", recorded.Value);

    public double[] Objective => recorded.Value.TryGetProperty("cd_objective", out var values)
        ? [.. values.EnumerateArray().Select(value => value.GetDouble())] : [];

    public Matrix Codes => layer.Recorded(Name + ".codes");

    /// <summary>The recorded scales: floats, or the bytes of E4M3 and E8M0.</summary>
    public Matrix Scales => layer.Recorded(Name + (layer.Has(Name + ".scale") ? ".scale" : ".scale_codes"));

    public Matrix? Zeros => layer.Has(Name + ".zero") ? layer.Recorded(Name + ".zero") : null;

    public float? TensorScale => layer.Has(Name + ".global") ? (float)layer.Recorded(Name + ".global")[0, 0] : null;

    /// <summary>The format whose codes these are, where we have it.</summary>
    public WeightFormat? Format => Text("format") switch
    {
        "nvfp4" => new NvFp4(),
        "mxfp4" => new MxFp4(),
        "fp8" => new Fp8PerChannel(),
        "int8" => new Int8PerChannel(),
        _ => null,
    };

    public Grid Grid => Format is { } format
        ? Grids.Of(format)
        : UniformGrid.Unsigned((int)Number("bits")!, Math.Max(0, (int)Number("group")!), Flag("sym"));

    public CompensationOptions Options => new()
    {
        Compensate = Text("solver") != "rtn",
        Shift = Text("shift") switch { "gptaq" => Shift.Gptaq, "vlm" => Shift.VlmPtq, "exact" => Shift.Exact, _ => Shift.None },
        Form = Text("form") switch { "running" => ShiftForm.Running, "code" => ShiftForm.Code, _ => ShiftForm.Engine },
        Alpha = Text("alpha") == "cv" ? null : Number("alpha") ?? 0,
        Damping = Number("percdamp") ?? 0.01,
        Weighting = Text("hessian") == "balanced" ? HessianWeighting.Balanced : HessianWeighting.Joint,
        Search = (Text("search") ?? Text("rule"))! switch
        {
            "minmax" or "standard" => ScaleSearch.Standard,
            "diagH" or "sweepH" => ScaleSearch.Importance,
            "mse" or "sweep" => ScaleSearch.Error,
            _ => ScaleSearch.Modality,
        },
        MeanImportance = Text("search")?.Contains(".mean.") == true,
        BalancedCriterion = Text("search")?.EndsWith(".balanced") == true,
        ActOrder = Flag("act_order"),
        DynamicGroups = Flag("dynamic"),
        Sweeps = (int)(Number("sweeps") ?? 0),
        Block = (int)(Number("block") ?? 16),
    };

    string? Text(string name) =>
        settings.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    bool Flag(string name) => settings.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;

    double? Number(string name) => Number(name, settings);

    static double? Number(string name, JsonElement of) =>
        of.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
}
