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
    /// <summary>Outputs that share their scales; 1 unless scales belong to blocks.</summary>
    public int RowsPerScale { get; init; } = 1;

    /// <summary>Two codes in a byte, even column in the low nibble: <c>weight</c> is [out, in/2].</summary>
    public bool ColumnPairs { get; init; }

    /// <summary>Two codes in a byte, even row in the low nibble: <c>weight</c> is [out/2, in].</summary>
    public bool RowPairs { get; init; }

    /// <summary>Whether there is a <c>weight_scale_2</c>, which fused modules must share.</summary>
    public bool SecondScale { get; init; }

    /// <summary>Whether there is an <c>input_scale</c>.</summary>
    public bool InputScale { get; init; }

    /// <summary>Whether a checkpoint without <c>input_scale</c> is one too; then the scale of inputs is found at run time.</summary>
    public bool MayLackInputScale { get; init; }

    /// <summary>Whether inputs may have, or have, factors (<c>pre_quant_scale</c>); null where they may.</summary>
    public bool? PreQuantScale { get; init; } = false;

    /// <summary>Whether a matrix of low rank is kept beside the codes.</summary>
    public bool LowRank { get; init; }

    /// <summary>Whether <c>group_size</c> is written.</summary>
    public bool NamesGroup { get; init; }

    /// <summary>
    /// Whether <c>has_zero_point</c> and <c>pre_quant_scale</c> are written; constant text, also where no such tensors exist.
    /// </summary>
    public bool NamesAwq { get; init; }

    public static readonly ModelOptFormat Fp8 = new("FP8", "fp8", DType.F8E4M3, DType.F32, -1) { InputScale = true };

    public static readonly ModelOptFormat Fp8PerChannel =
        new("FP8_PER_CHANNEL_PER_TOKEN", "fp8_pc_pt", DType.F8E4M3, DType.F32, 0);

    public static readonly ModelOptFormat Fp8Blocks =
        new("fp8_pb_wo", "fp8_pb_wo", DType.F8E4M3, DType.F32, Quant.Formats.Fp8Blocks.BlockSize)
        {
            RowsPerScale = Quant.Formats.Fp8Blocks.BlockSize,
        };

    public static readonly ModelOptFormat Int8WeightOnly = new("W8A16", "int8_wo", DType.I8, DType.F32, 0);

    public static readonly ModelOptFormat Int8 =
        new("W8A8_SQ_PER_CHANNEL", "int8", DType.I8, DType.F32, 0) { InputScale = true, PreQuantScale = null };

    public static readonly ModelOptFormat Int4 = new("W4A16_AWQ", "int4", DType.U8, DType.F32, 128)
    {
        RowPairs = true,
        PreQuantScale = null,
        NamesGroup = true,
        NamesAwq = true,
    };

    public static readonly ModelOptFormat W4A8 =
        Int4 with { Algorithm = "W4A8_AWQ", SchemeName = "w4a8", SecondScale = true, InputScale = true };

    public static readonly ModelOptFormat Nvfp4 = new("NVFP4", "nvfp4", DType.U8, DType.F8E4M3, 16)
    {
        ColumnPairs = true,
        SecondScale = true,
        InputScale = true,
        NamesGroup = true,
    };

    public static readonly ModelOptFormat Nvfp4Awq =
        Nvfp4 with { Algorithm = "NVFP4_AWQ", PreQuantScale = true, NamesAwq = true };

    public static readonly ModelOptFormat Nvfp4Svd = Nvfp4Awq with { Algorithm = "NVFP4_SVD", LowRank = true };

    public static readonly ModelOptFormat Nvfp4WeightOnly =
        Nvfp4 with { Algorithm = "W4A16_NVFP4", SchemeName = "w4a16_nvfp4", InputScale = false };

    public static readonly ModelOptFormat Nvfp4InFp8 =
        Nvfp4 with { Algorithm = "W4A8_NVFP4_FP8", SchemeName = "w4a8_nvfp4_fp8", Group = 32 };

    public static readonly ModelOptFormat Mxfp4 = new("mxfp4", "mxfp4", DType.U8, DType.U8, 32) { ColumnPairs = true };

    public static readonly ModelOptFormat Mxfp4InFp8 =
        Mxfp4 with { Algorithm = "W4A8_MXFP4_FP8", SchemeName = "w4a8_mxfp4_fp8", InputScale = true, MayLackInputScale = true, NamesGroup = true };

    public static readonly ModelOptFormat Mxfp4InFp8Dynamic = Mxfp4InFp8 with { SchemeName = "w4a8_mxfp4_fp8_dynamic", InputScale = false };

    public static readonly ModelOptFormat Mxfp8 = new("MXFP8", "mxfp8", DType.F8E4M3, DType.U8, 32) { NamesGroup = true };

    public static readonly IReadOnlyList<ModelOptFormat> All =
        [Fp8, Fp8PerChannel, Fp8Blocks, Int8WeightOnly, Int8, Int4, W4A8, Nvfp4, Nvfp4Awq, Nvfp4Svd, Nvfp4WeightOnly, Nvfp4InFp8,
            Mxfp4, Mxfp4InFp8, Mxfp4InFp8Dynamic, Mxfp8];

    /// <summary>The format of this name, or null where this library has none.</summary>
    public static ModelOptFormat? Find(string algorithm) =>
        All.FirstOrDefault(format => format.Algorithm.Equals(algorithm, StringComparison.OrdinalIgnoreCase));

    /// <summary>The format that stores a scheme, or null where ModelOpt has none.</summary>
    public static ModelOptFormat? Of(Scheme scheme) => All
        .Select(format => format.NamesGroup && scheme.Weight.Group > 0 ? format with { Group = scheme.Weight.Group } : format)
        .FirstOrDefault(format => format.Stores(scheme));

    /// <summary>What the stored codes mean, or null where this library has no such format.</summary>
    public Scheme? Scheme => Schemes.Find(SchemeName)! is var scheme && OfGroup(scheme) is { } weight
        ? scheme with
        {
            Weight = weight,
            PreQuantScale = PreQuantScale ?? false,
        }
        : null;

    bool Stores(Scheme scheme) => Scheme is { } known && known.Weight == scheme.Weight && known.Activation == scheme.Activation
        && scheme.PreQuantScale == (PreQuantScale ?? scheme.PreQuantScale) && scheme.LowRank > 0 == LowRank;

    WeightFormat? OfGroup(Scheme scheme) => scheme.Weight switch
    {
        { Group: var group } weight when group == Group => weight,
        _ when Group <= 0 || Group % 16 != 0 => null,
        Quant.Formats.Int4 => new Int4(Group),
        Int4Fp8 => new Int4Fp8(Group),
        NvFp4 when scheme.Activation is null && Group == 32 => new NvFp4(Group),
        _ => null,
    };

    /// <summary>Why a matrix of this shape cannot be stored, or null.</summary>
    public string? Refuse(long rows, long columns) =>
        Group > 0 && RowsPerScale == 1 && columns % Group != 0 ? $"{columns} inputs are not a multiple of the group {Group}"
        : RowPairs && rows % 2 != 0 ? $"{rows} outputs cannot be stored in pairs"
        : null;

    public Shape WeightShape(long rows, long columns) =>
        RowPairs ? new Shape(rows / 2, columns) : ColumnPairs ? new Shape(rows, columns / 2) : new Shape(rows, columns);

    /// <summary>
    /// A scale per block is [blocks of outputs, 1, blocks of inputs, 1], but has no dimensions where there is one block, unless the
    /// matrix is one of two of an expert that Transformers holds as one.
    /// </summary>
    public Shape ScaleShape(string module, long rows, long columns) =>
        Group < 0 || RowsPerScale > 1 && rows <= RowsPerScale && columns <= Group && !IsHalfOfExpert(module) ? default
        : Group == 0 ? new Shape(rows)
        : RowsPerScale > 1 ? new Shape(Blocks(rows, RowsPerScale), 1, Blocks(columns, Group), 1)
        : new Shape(rows, columns / Group);

    /// <summary>[out, in] of a stored weight.</summary>
    public (long Rows, long Columns) Unpacked(Shape weight) =>
        RowPairs ? (checked(weight[0] * 2), weight[1]) : ColumnPairs ? (weight[0], checked(weight[1] * 2))
            : (weight[0], weight[1]);

    /// <summary>The tensors of a module, in the order they are written.</summary>
    public IEnumerable<TensorSpec> Specs(string module, long rows, long columns)
    {
        yield return new TensorSpec($"{module}.weight", CodeType, WeightShape(rows, columns));
        yield return new TensorSpec($"{module}.weight_scale", ScaleType, ScaleShape(module, rows, columns));
        if (SecondScale)
            yield return new TensorSpec($"{module}.weight_scale_2", DType.F32, default);
        if (InputScale)
            yield return new TensorSpec($"{module}.input_scale", DType.F32, default);
    }

    /// <summary>
    /// Whether a tensor is the expected one. A scalar may be [] or [1], and of the scales of blocks dimensions of one may be left out.
    /// </summary>
    public static bool Same(TensorSpec expected, TensorSpec found) => expected.DType == found.DType
        && (expected.Shape == found.Shape || expected.Shape.Rank == 0 && found.Shape == new Shape(1)
            || (expected.Shape.Rank, found.Shape.Rank) is (4, _) or (0, 4) && Squeezed(expected.Shape) == Squeezed(found.Shape));

    static bool IsHalfOfExpert(string module) => module.Contains(".experts.", StringComparison.Ordinal)
        && (module.EndsWith(".gate_proj", StringComparison.Ordinal) || module.EndsWith(".up_proj", StringComparison.Ordinal));

    static Shape Squeezed(Shape shape) => new([.. shape.Dimensions.ToArray().Where(size => size != 1)]);

    static long Blocks(long size, int block) => (size + block - 1) / block;
}
