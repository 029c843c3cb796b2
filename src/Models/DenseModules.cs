using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Models;

/// <summary>Every module dense, as the checkpoint stores it; keys and values untouched.</summary>
public sealed class DenseModules(ITensorSource tensors) : IModuleSource
{
    /// <exception cref="ModelException">The weight is no matrix of plain numbers.</exception>
    public ILinearWeight Linear(string module)
    {
        var weight = tensors.Load(module + ".weight");
        if (weight.Shape.Rank != 2 || weight.DType is not (DType.F32 or DType.BF16 or DType.F16))
            throw new ModelException($"{module}.weight: expected a matrix of F32, BF16 or F16, found {weight}.");
        return new DenseWeight(weight);
    }

    public IKeyValueFilter? KeyValues(string attention) => null;
}
