using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// What calibration keeps of the activations it saw. Shards of the data may be observed apart and merged, and a statistic can be
/// kept as named tensors.
/// </summary>
public interface IStatistic<TSelf> where TSelf : IStatistic<TSelf>
{
    /// <summary>Takes in what another one saw.</summary>
    /// <exception cref="QuantizationException">The other is of other inputs.</exception>
    void Merge(TSelf other);

    /// <summary>The whole state.</summary>
    IReadOnlyDictionary<string, Tensor> ToTensors();

    /// <summary>What <see cref="ToTensors"/> gave.</summary>
    /// <param name="name">The module, for errors.</param>
    /// <exception cref="QuantizationException">
    /// A tensor is missing, of another shape or type, or holds what no data could give.
    /// </exception>
    static abstract TSelf FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors);
}
