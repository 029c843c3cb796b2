using Nibble.Models;

namespace Nibble.Quant.Calibration;

/// <summary>Calibration or evaluation samples, made one at a time so that pictures need not stay in memory.</summary>
public interface ISampleSource
{
    int Count { get; }

    /// <summary>The sample of this index; the same each time.</summary>
    Sample Load(int index);

    /// <summary>Samples that are one batch have the same number and follow each other; without batches each is one by itself.</summary>
    int Batch(int index) => index;
}

/// <summary>Samples that are in memory already.</summary>
public sealed class SampleList(IReadOnlyList<Sample> samples) : ISampleSource
{
    public int Count => samples.Count;

    public Sample Load(int index) => samples[index];
}
