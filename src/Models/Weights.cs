using Nibble.Models.Layers;
using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>Names below a prefix of a checkpoint. <c>weights["model.layers"][3]["mlp"].Linear("up_proj", 96, 64)</c></summary>
public sealed class Weights(ITensorSource tensors, IModuleSource modules, string prefix = "")
{
    /// <summary>Dense weights of a checkpoint, as they are stored.</summary>
    public Weights(ITensorSource tensors) : this(tensors, new DenseModules(tensors)) { }

    /// <summary>The dotted name of this place, without a trailing dot; empty at the root.</summary>
    public string Prefix => prefix;

    public Weights this[string name] => new(tensors, modules, Join(name));

    public Weights this[int index] => this[index.ToString(System.Globalization.CultureInfo.InvariantCulture)];

    /// <summary>Whether a tensor of this name exists here.</summary>
    public bool Has(string name) => tensors.Find(Join(name)) is not null;

    /// <summary>A tensor as stored.</summary>
    /// <exception cref="ModelException">It has another shape than the configuration implies.</exception>
    public Tensor Tensor(string name, params ReadOnlySpan<long> shape)
    {
        var tensor = tensors.Load(Join(name));
        return tensor.Shape == new Shape(shape)
            ? tensor
            : throw new ModelException($"{Join(name)}: expected the shape {new Shape(shape)}, found {tensor}.");
    }

    /// <summary>A tensor widened to F32, for norms and biases.</summary>
    /// <exception cref="ModelException">It has another shape than the configuration implies, or no plain numbers.</exception>
    public Tensor Floats(string name, params ReadOnlySpan<long> shape)
    {
        var tensor = Tensor(name, shape);
        return tensor.DType is DType.F32 or DType.BF16 or DType.F16 or DType.F64
            ? Tensors.Convert.ToF32(tensor)
            : throw new ModelException($"{Join(name)}: expected F32, BF16, F16 or F64, found {tensor}.");
    }

    /// <summary>The linear layer of this name with weight [rows, columns], and its bias where the checkpoint has one.</summary>
    /// <exception cref="ModelException">It has another shape than the configuration implies.</exception>
    public Linear Linear(string name, int rows, int columns)
    {
        var weight = modules.Linear(Join(name));
        if (weight.Rows != rows || weight.Columns != columns)
            throw new ModelException(
                $"{Join(name)}.weight: expected the shape [{rows}, {columns}], found [{weight.Rows}, {weight.Columns}].");
        return new Linear(weight, Has(name + ".bias") ? Floats(name + ".bias", rows) : null);
    }

    /// <summary>What happens to the keys and values of the attention module at this place.</summary>
    public IKeyValueFilter? KeyValues() => modules.KeyValues(prefix);

    string Join(string name) => prefix.Length == 0 ? name : $"{prefix}.{name}";
}
