using Nibble.Export.Layouts;
using Nibble.Tensors;

namespace Nibble.Export.Verification;

/// <summary>A checkpoint under test: its files, both descriptions of it, and the formats its modules should have.</summary>
sealed class VerifiedCheckpoint
{
    public VerifiedCheckpoint(CheckpointFolder folder, Target target)
    {
        Folder = folder;
        Target = target;
        HfQuantConfig = ModelOptDescription.OfHfQuantConfig(folder);
        Config = ModelOptDescription.OfConfig(folder);
        Description = HfQuantConfig ?? Config;
        Modules = [.. folder.Shards.SelectMany(shard => shard.Entries).Select(entry => ModuleOf(entry.Name)).OfType<string>()
            .Distinct()];
        if (Description?.Layers is { } layers)
            Modules = [.. Modules.Union(layers.Keys)];
    }

    public CheckpointFolder Folder { get; }

    public Target Target { get; }

    public ModelOptDescription? HfQuantConfig { get; }

    public ModelOptDescription? Config { get; }

    /// <summary>The one loaders follow; null for a checkpoint that does not claim to be quantized by this layout.</summary>
    public ModelOptDescription? Description { get; }

    /// <summary>Everything with a <c>weight</c> or its scale, and everything the description lists.</summary>
    public IReadOnlyList<string> Modules { get; }

    /// <summary>The modules that hold codes by their tensors and have a format by the description.</summary>
    public IEnumerable<(string Module, ModelOptFormat Format)> Quantized =>
        Modules.Where(HasCodes).Select(module => (module, Description?.FormatOf(module)))
            .Where(pair => pair.Item2 is not null).Select(pair => (pair.module, pair.Item2!));

    public TensorSpec? Spec(string name) => Folder.Find(name);

    /// <summary>Whether the module's weight is stored as codes rather than as plain numbers.</summary>
    public bool HasCodes(string module) =>
        Spec($"{module}.weight") is { DType: DType.U8 or DType.I8 or DType.F8E4M3 or DType.F8E5M2 }
            || Spec($"{module}.weight_scale") is not null;

    /// <summary>A stored F32 scalar, or null when there is none of one element.</summary>
    public float? Scalar(string name) =>
        Spec(name) is { DType: DType.F32, Shape.Elements: 1 } ? Folder.Load(name).Span<float>()[0] : null;

    static string? ModuleOf(string tensor) =>
        tensor.EndsWith(".weight", StringComparison.Ordinal) || tensor.EndsWith(".weight_scale", StringComparison.Ordinal)
            ? tensor[..tensor.LastIndexOf('.')] : null;
}
