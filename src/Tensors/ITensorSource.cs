namespace Nibble.Tensors;

/// <summary>What is known of a stored tensor without reading it.</summary>
public sealed record TensorSpec(string Name, DType DType, Shape Shape)
{
    public long Bytes => Shape.Elements * DType.Bytes();
}

/// <summary>Tensors by name: a checkpoint folder, or a dictionary in tests.</summary>
public interface ITensorSource
{
    /// <summary>All tensors, in the order of the files.</summary>
    IReadOnlyCollection<TensorSpec> Tensors { get; }

    /// <summary>The tensor of this name without its bytes, or null.</summary>
    TensorSpec? Find(string name);

    /// <summary>The tensor itself, mapped or read. A missing name is an error that names the source.</summary>
    Tensor Load(string name);

    /// <summary>Says that a tensor is read soon; does nothing where nothing can be brought nearer.</summary>
    void Prefetch(string name) => Load(name).Prefetch();
}

/// <summary>
/// Linear weights and cache filters by module name. What a <c>Linear</c> holds is decided here and nowhere else:
/// a dense matrix, packed codes, or a matrix that also records what it is multiplied with.
/// </summary>
public interface IModuleSource
{
    /// <summary>The weight of the module, for instance <c>model.layers.0.mlp.up_proj</c>.</summary>
    ILinearWeight Linear(string module);

    /// <summary>What is done to keys and values before they are cached by this attention module, or null for nothing.</summary>
    IKeyValueFilter? KeyValues(string attention);
}
