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

/// <summary>
/// Where finished modules go at once, in running order. A stage that was finished survives the death of the process.
/// <para>Written to from a thread of its own. The tensors of a module are released when <see cref="Write(QuantizedModule)"/> returns.</para>
/// </summary>
public interface IQuantizedSink
{
    /// <summary>What was noted when this stage was finished, or null if it is still to be done. Asked before anything is written.</summary>
    byte[]? FinishedNote(string stage);

    void Write(QuantizedModule module);

    void Write(KeyValueScales scales);

    /// <summary>A module of a finished stage, as the runtime would hold it; null when its stage is still to be done.</summary>
    Runtime.PackedWeight? Read(PlannedModule module) => null;

    /// <summary>Makes everything written durable and marks the stage as done.</summary>
    void Finish(string stage, ReadOnlySpan<byte> note);
}
