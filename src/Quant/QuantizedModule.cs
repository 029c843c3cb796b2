using Nibble.Quant.Formats;
using Nibble.Quant.Planning;

namespace Nibble.Quant;

/// <summary>One finished module.</summary>
/// <param name="InputScale">The stored scale of its inputs, or null where the activation format has none.</param>
public sealed record QuantizedModule(PlannedModule Plan, QuantizedWeight Weight, float? InputScale)
{
    public string Name => Plan.Name;

    public Scheme Scheme => Plan.Scheme!;
}

/// <summary>The stored scales of one attention module's cache.</summary>
public sealed record KeyValueScales(string Attention, float KeyScale, float ValueScale);

/// <summary>Where finished modules go at once. A stage that was finished survives the death of the process.</summary>
public interface IQuantizedSink
{
    /// <summary>What was noted when this stage was finished, or null if it is still to be done.</summary>
    byte[]? FinishedNote(string stage);

    void Write(QuantizedModule module);

    void Write(KeyValueScales scales);

    /// <summary>Makes everything written durable and marks the stage as done.</summary>
    void Finish(string stage, ReadOnlySpan<byte> note);
}
