using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>How ModelOpt's unified checkpoint stores one linear layer [out, in], and what its configuration says of it.</summary>
/// <param name="Algorithm">
/// The name under <c>quant_algo</c>. Those without a name of their own are in lower case there too.
/// </param>
/// <param name="SchemeName">Our name for it.</param>
/// <param name="CodeType">Element type of <c>weight</c>.</param>
/// <param name="ScaleType">Element type of <c>weight_scale</c> as stored; E8M0 exponents are stored as U8.</param>
/// <param name="Group">Inputs that share a scale; 0 when a whole row does, -1 when the whole matrix does.</param>
sealed record ModelOptFormat(string Algorithm, string SchemeName, DType CodeType, DType ScaleType, int Group)
{
    /// <summary>Two codes in a byte, even column in the low nibble: <c>weight</c> is [out, in/2].</summary>
    public bool ColumnPairs { get; init; }

    /// <summary>Two codes in a byte, even row in the low nibble: <c>weight</c> is [out/2, in].</summary>
    public bool RowPairs { get; init; }

    /// <summary>Whether there is a <c>weight_scale_2</c>, which fused modules must share.</summary>
    public bool SecondScale { get; init; }

    /// <summary>Whether there is an <c>input_scale</c>.</summary>
    public bool InputScale { get; init; }

    /// <summary>Whether <c>group_size</c> is written.</summary>
    public bool NamesGroup { get; init; }

    /// <summary>
    /// Whether <c>has_zero_point</c> and <c>pre_quant_scale</c> are written; constant text, also where no such tensors exist.
    /// </summary>
    public bool NamesAwq { get; init; }

    public static readonly ModelOptFormat Fp8 = new("FP8", "fp8", DType.F8E4M3, DType.F32, -1) { InputScale = true };

    public static readonly ModelOptFormat Fp8PerChannel =
        new("FP8_PER_CHANNEL_PER_TOKEN", "fp8_pc_pt", DType.F8E4M3, DType.F32, 0);

    public static readonly ModelOptFormat Int8 = new("W8A16", "int8_wo", DType.I8, DType.F32, 0);

    public static readonly ModelOptFormat Int4 =
        new("W4A16_AWQ", "int4", DType.U8, DType.F32, 128) { RowPairs = true, NamesGroup = true, NamesAwq = true };

    public static readonly ModelOptFormat Nvfp4 = new("NVFP4", "nvfp4", DType.U8, DType.F8E4M3, 16)
    {
        ColumnPairs = true,
        SecondScale = true,
        InputScale = true,
        NamesGroup = true,
    };

    public static readonly ModelOptFormat Nvfp4WeightOnly =
        Nvfp4 with { Algorithm = "W4A16_NVFP4", SchemeName = "w4a16_nvfp4", InputScale = false };

    public static readonly ModelOptFormat Mxfp4 = new("mxfp4", "mxfp4", DType.U8, DType.U8, 32) { ColumnPairs = true };

    public static readonly ModelOptFormat Mxfp8 = new("MXFP8", "mxfp8", DType.F8E4M3, DType.U8, 32) { NamesGroup = true };

    public static readonly IReadOnlyList<ModelOptFormat> All =
        [Fp8, Fp8PerChannel, Int8, Int4, Nvfp4, Nvfp4WeightOnly, Mxfp4, Mxfp8];

    /// <summary>The format of this name, or null where this library has none.</summary>
    public static ModelOptFormat? Find(string algorithm) =>
        All.FirstOrDefault(format => format.Algorithm.Equals(algorithm, StringComparison.OrdinalIgnoreCase));

    /// <summary>The format that stores a scheme, or null where ModelOpt has none.</summary>
    public static ModelOptFormat? Of(Scheme scheme)
    {
        var int4 = scheme.Weight is Int4 weight ? Int4 with { Group = weight.Group } : Int4;
        return All.Select(format => format == Int4 ? int4 : format)
            .FirstOrDefault(format => format.Scheme is { } known && known.Weight == scheme.Weight
                && known.Activation == scheme.Activation);
    }

    /// <summary>What the stored codes mean, or null where this library has no such format.</summary>
    public Scheme? Scheme
    {
        get
        {
            var scheme = Schemes.Find(SchemeName)!;
            return scheme.Weight is Int4 ? scheme with { Weight = new Int4(Group) } : Group == scheme.Weight.Group ? scheme
                : null;
        }
    }

    /// <summary>Why a matrix of this shape cannot be stored, or null.</summary>
    public string? Refuse(long rows, long columns) =>
        Group > 0 && columns % Group != 0 ? $"{columns} inputs are not a multiple of the group {Group}"
        : RowPairs && rows % 2 != 0 ? $"{rows} outputs cannot be stored in pairs"
        : null;

    public Shape WeightShape(long rows, long columns) =>
        RowPairs ? new Shape(rows / 2, columns) : ColumnPairs ? new Shape(rows, columns / 2) : new Shape(rows, columns);

    public Shape ScaleShape(long rows, long columns) =>
        Group < 0 ? default : Group == 0 ? new Shape(rows) : new Shape(rows, columns / Group);

    /// <summary>[out, in] of a stored weight.</summary>
    public (long Rows, long Columns) Unpacked(Shape weight) =>
        RowPairs ? (checked(weight[0] * 2), weight[1]) : ColumnPairs ? (weight[0], checked(weight[1] * 2))
            : (weight[0], weight[1]);

    /// <summary>The tensors of a module, in the order they are written.</summary>
    public IEnumerable<TensorSpec> Specs(string module, long rows, long columns)
    {
        yield return new TensorSpec($"{module}.weight", CodeType, WeightShape(rows, columns));
        yield return new TensorSpec($"{module}.weight_scale", ScaleType, ScaleShape(rows, columns));
        if (SecondScale)
            yield return new TensorSpec($"{module}.weight_scale_2", DType.F32, default);
        if (InputScale)
            yield return new TensorSpec($"{module}.input_scale", DType.F32, default);
    }
}
