using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>A quantized linear layer as stored.</summary>
/// <param name="Scheme">Formats of weights and activations.</param>
/// <param name="InputScale">Of the activations; 1 where the scheme stores none.</param>
public sealed record StoredLinear(Scheme Scheme, QuantizedWeight Weight, float InputScale);

/// <summary>A quantized key/value cache of one attention module; scales of 1 where none are stored.</summary>
public sealed record StoredKeyValues(KeyValueFormat Format, float KeyScale, float ValueScale);

/// <summary>Reads the quantized layers of a checkpoint in the ModelOpt layout.</summary>
public sealed class ModelOptCheckpoint
{
    readonly CheckpointFolder folder;
    readonly ModelOptDescription description;
    readonly KeyValueFormat? keyValues;

    ModelOptCheckpoint(CheckpointFolder folder, ModelOptDescription description)
    {
        this.folder = folder;
        this.description = description;
        if (description.KeyValues is { } name)
            keyValues = Schemes.FindKeyValues(name)
                ?? throw new CheckpointException(description.Source, $"this library does not read a cache of '{name}'");
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
        if (folder.Find($"{module}.pre_quant_scale") is not null)
            throw new CheckpointException(folder.Path, "this library does not read factors of inputs",
                $"{module}.pre_quant_scale");

        var (rows, columns) = Size(module, format);
        var parts = format.Specs(module, rows, columns).ToDictionary(spec => spec.Name[(module.Length + 1)..], Load);
        var codes = format.RowPairs ? RowPairs.ToColumnPairs(parts["weight"]) : parts["weight"];
        var scales = scheme.Weight.ScaleType is { } type
            ? ModelOptLayout.View(parts["weight_scale"], new TensorSpec("weight_scale", type, parts["weight_scale"].Shape))
                : null;
        var tensorScale = format.Group < 0 ? Positive(module, "weight_scale", parts)
            : format.SecondScale ? Positive(module, "weight_scale_2", parts) : 1;
        return new StoredLinear(scheme, new QuantizedWeight(scheme.Weight, rows, columns, codes, scales, tensorScale),
            format.InputScale ? Positive(module, "input_scale", parts) : 1);
    }

    /// <summary>The cache format of this attention module, or null when its cache stays as it is.</summary>
    public StoredKeyValues? KeyValues(string attention)
    {
        if (keyValues is null)
            return null;
        var specs = ModelOptLayout.KeyValueSpecs(attention);
        if (specs.All(spec => folder.Find(spec.Name) is null))
            return new StoredKeyValues(keyValues, 1, 1);
        var scales = specs.ToDictionary(spec => spec.Name[(attention.Length + 1)..], Load);
        return new StoredKeyValues(keyValues,
            Positive(attention, "k_proj.k_scale", scales), Positive(attention, "v_proj.v_scale", scales));
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
        if (found.DType != spec.DType || found.Shape != spec.Shape && !(spec.Shape.Rank == 0 && found.Shape == new Shape(1)))
            throw new CheckpointException(folder.Path,
                $"{spec.Shape} {spec.DType.Name()} expected; found {found.Shape} {found.DType.Name()}", spec.Name);
        return folder.Load(spec.Name);
    }

    float Positive(string module, string name, Dictionary<string, Tensor> parts)
    {
        var value = parts[name].Span<float>()[0];
        return float.IsFinite(value) && value > 0 ? value
            : throw new CheckpointException(folder.Path, $"a number above 0 expected; found {value}", $"{module}.{name}");
    }
}
