using Nibble.Models;
using Nibble.Quant.Calibration;

namespace Nibble.Quant;

/// <summary>
/// The samples as the original model and as the quantized model sees them. Until the first quantized module the two are the same, and
/// kept once.
/// </summary>
sealed class Streams : IDisposable
{
    readonly ActivationStore original;
    ActivationStore? quantized;

    public Streams(INetwork network, ISampleSource samples, QuantizerOptions options) =>
        original = new ActivationStore(network, samples, options.ActivationBudget, options.SpillFolder);

    public ActivationStore Original => original;

    /// <exception cref="InvalidOperationException">They were not parted.</exception>
    public ActivationStore Quantized => quantized ?? throw new InvalidOperationException("There is one stream still.");

    /// <summary>From now on the two are kept apart.</summary>
    public void Part() => quantized ??= original.Fork();

    /// <summary>Whether the two differ by now.</summary>
    public bool Apart => quantized is not null;

    /// <summary>Most activations in memory between two stages, in bytes.</summary>
    public long PeakBytes => original.PeakBytes + (quantized?.PeakBytes ?? 0);

    /// <summary>Activations written to disk, in bytes.</summary>
    public long SpilledBytes => original.SpilledBytes + (quantized?.SpilledBytes ?? 0);

    public void Dispose()
    {
        original.Dispose();
        quantized?.Dispose();
    }
}
