using Nibble.Models.Layers;
using Nibble.Tensors;

namespace Nibble.Models;

/// <summary>Names below a prefix of a checkpoint. <c>weights["model.layers"][3]["mlp"].Linear("up_proj")</c></summary>
public sealed class Weights(ITensorSource tensors, IModuleSource modules, string prefix = "")
{
    /// <summary>The dotted name of this place, without a trailing dot; empty at the root.</summary>
    public string Prefix => prefix;

    public Weights this[string name] => new(tensors, modules, Join(name));

    public Weights this[int index] => this[index.ToString(System.Globalization.CultureInfo.InvariantCulture)];

    /// <summary>Whether a tensor of this name exists here.</summary>
    public bool Has(string name) => tensors.Find(Join(name)) is not null;

    /// <summary>A tensor as stored.</summary>
    public Tensor Tensor(string name) => tensors.Load(Join(name));

    /// <summary>A tensor widened to F32, for norms and biases.</summary>
    public Tensor Floats(string name) => Tensors.Convert.ToF32(Tensor(name));

    /// <summary>The linear layer of this name, with its bias where the checkpoint has one.</summary>
    public Linear Linear(string name)
    {
        var bias = Join(name) + ".bias";
        return new Linear(modules.Linear(Join(name)), tensors.Find(bias) is null ? null : Tensors.Convert.ToF32(tensors.Load(bias)));
    }

    /// <summary>What happens to the keys and values of the attention module at this place.</summary>
    public IKeyValueFilter? KeyValues() => modules.KeyValues(prefix);

    string Join(string name) => prefix.Length == 0 ? name : $"{prefix}.{name}";
}
