using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>Reads the quantized layers of a checkpoint in the ModelOpt layout.</summary>
public sealed class ModelOptCheckpoint
{
    readonly CheckpointFolder folder;
    readonly ModelOptDescription description;
    readonly string? keyValues;

    ModelOptCheckpoint(CheckpointFolder folder, ModelOptDescription description)
    {
        this.folder = folder;
        this.description = description;
        keyValues = description.KeyValues is null or "FP8" or "NVFP4" or "NVFP4_AFFINE" ? description.KeyValues
            : throw new CheckpointException(description.Source, $"this library does not read a cache of '{description.KeyValues}'");
    }

    /// <summary><c>quant_algo</c> as the checkpoint has it; null where only the cache is quantized.</summary>
    public string? Algorithm => description.Algorithm;

    /// <summary>Format of cached keys and values, or null.</summary>
    public string? KeyValueAlgorithm => description.KeyValues;

    /// <summary>The modules that hold codes.</summary>
    public IEnumerable<string> Modules => folder.Tensors.Select(tensor => tensor.Name)
        .Where(name => name.EndsWith(".weight_scale", StringComparison.Ordinal)).Select(name => name[..^".weight_scale".Length]);

    /// <summary>The reader, or null when the folder does not say that it has this layout.</summary>
    /// <exception cref="CheckpointException">The description is damaged, or of a format this library does not have.</exception>
    public static ModelOptCheckpoint? Of(CheckpointFolder folder) =>
        ModelOptDescription.Of(folder) is { } description ? new ModelOptCheckpoint(folder, description) : null;

    /// <summary>
    /// The layer of this name, or null when it is stored as plain numbers. Codes stay in the mapped file where the layout allows.
    /// </summary>
    /// <exception cref="CheckpointException">A tensor is missing, or is not what the format says.</exception>
    public StoredLinear? Linear(string module)
    {
        if (folder.Find($"{module}.weight_scale") is null)
            return null;
        if (description.FormatOf(module) is not { Scheme: { } scheme } format)
            throw new CheckpointException(description.Source, $"no algorithm this library reads; it is {AlgorithmOf(module)}",
                module);
        if (format.MayLackInputScale && folder.Find($"{module}.input_scale") is null)
            format = ModelOptFormat.Mxfp4InFp8Dynamic;
        var extras = ModelOptExtras.Found(module, folder.Find);
        if (format.LowRank ? extras.Rank == 0 : extras.Rank > 0)
            throw new CheckpointException(folder.Path, $"{(format.LowRank ? "a" : "no")} part of low rank expected beside {format.Algorithm}",
                $"{module}.weight");
        var (rows, columns) = Size(module, format);
        return StoredLinear.Of(module, format, rows, columns, extras, Load, folder.Path);
    }

    /// <summary>
    /// The cache format of this attention module, or null when its cache stays as it is. A rotated one has no mark of its own and is
    /// read as one that is not.
    /// </summary>
    /// <exception cref="CheckpointException">A scale or a bias is missing, or is not what the format says.</exception>
    public StoredKeyValues? KeyValues(string attention)
    {
        if (keyValues is null)
            return null;
        var bias = folder.Find($"{attention}.k_proj.k_bias") ?? folder.Find($"{attention}.v_proj.v_bias");
        KeyValueFormat format = (keyValues, bias) switch
        {
            ("FP8", null) => new Fp8KeyValues(),
            ("FP8", _) => new Fp8KeyValues(KeyValueVariant.Affine),
            ("NVFP4", _) => new NvFp4KeyValues(),
            _ => new NvFp4KeyValues(KeyValueVariant.Affine),
        };
        var specs = ModelOptLayout.KeyValueSpecs(attention, format, bias?.Shape ?? new Shape(1, 1, 1, 1));
        if (!format.Centred && specs.All(spec => folder.Find(spec.Name) is null))
            return new StoredKeyValues(format is Fp8KeyValues ? new Fp8KeyValues(KeyValueVariant.Cast)
                : new NvFp4KeyValues(KeyValueVariant.Cast), 1, 1);
        if (bias is { Shape: var shape } && !(shape.Rank == 4 && shape[0] == 1 && shape[2] == 1))
            throw new CheckpointException(folder.Path, $"[1, heads, 1, d] expected; found {shape}", bias.Name);
        var tensors = specs.Select(Load).ToList();
        return new StoredKeyValues(format, Positive(specs[0].Name, tensors[0]), Positive(specs[1].Name, tensors[1]))
        {
            KeyBias = format.Centred ? Finite(specs[2].Name, tensors[2]) : null,
            ValueBias = format.Centred ? Finite(specs[3].Name, tensors[3]) : null,
        };
    }

    /// <summary>The algorithm the description gives a module; <c>none</c> where it gives none.</summary>
    public string AlgorithmOf(string module) =>
        description.Layers is not { } layers ? description.Algorithm ?? "none"
        : layers.TryGetValue(module, out var layer) ? layer.Algorithm : "none";

    (int Rows, int Columns) Size(string module, ModelOptFormat format)
    {
        var name = $"{module}.weight";
        var weight = folder.Find(name)
            ?? throw new CheckpointException(folder.Path, "a weight expected beside weight_scale", name);
        if (weight.Shape.Rank != 2)
            throw new CheckpointException(folder.Path, $"a matrix expected; found {weight.Shape}", name);
        var (rows, columns) = format.Unpacked(weight.Shape);
        if (format.Refuse(rows, columns) is { } reason || columns % 2 != 0 && format.RowPairs)
            throw new CheckpointException(folder.Path,
                $"[{rows}, {columns}] cannot be {format.Algorithm} in groups of {format.Group}", name);
        return rows <= int.MaxValue && columns <= int.MaxValue ? ((int)rows, (int)columns)
            : throw new CheckpointException(folder.Path, $"[{rows}, {columns}] is beyond this library", name);
    }

    Tensor Load(TensorSpec spec)
    {
        var found = folder.Find(spec.Name)
            ?? throw new CheckpointException(folder.Path, $"{spec.Shape} {spec.DType.Name()} expected; there is none", spec.Name);
        if (!ModelOptFormat.Same(spec, found))
            throw new CheckpointException(folder.Path,
                $"{spec.Shape} {spec.DType.Name()} expected; found {found.Shape} {found.DType.Name()}", spec.Name);
        return folder.Load(spec.Name);
    }

    float Positive(string name, Tensor scale)
    {
        var value = scale.Span<float>()[0];
        return float.IsFinite(value) && value > 0 ? value
            : throw new CheckpointException(folder.Path, $"a number above 0 expected; found {value}", name);
    }

    Tensor Finite(string name, Tensor values) => TensorPrimitives.IsFiniteAll<float>(values.Span<float>()) ? values
        : throw new CheckpointException(folder.Path, "finite numbers expected", name);
}
