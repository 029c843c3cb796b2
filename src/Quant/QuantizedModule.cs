using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Quant;

/// <summary>One finished module.</summary>
/// <param name="InputScale">The stored scale of its inputs, or null where the activation format has none.</param>
public sealed record QuantizedModule(PlannedModule Plan, QuantizedWeight Weight, float? InputScale)
{
    public string Name => Plan.Name;

    public Scheme Scheme => Plan.Scheme!;

    /// <summary>[in] What inputs are multiplied with before they are rounded; null for nothing.</summary>
    public float[]? PreQuantScale { get; init; }

    /// <summary>What is added to the product with the codes, of inputs that are scaled but not rounded; null for nothing.</summary>
    public LowRank? LowRank { get; init; }
}

/// <summary>The stored scales of one attention module's cache.</summary>
public sealed record KeyValueScales(string Attention, float KeyScale, float ValueScale)
{
    /// <summary>[1, heads, 1, d] F32, taken off keys before they are rounded; null for nothing.</summary>
    public Tensor? KeyBias { get; init; }

    /// <summary>[1, heads, 1, d] F32, taken off values before they are rounded; null for nothing.</summary>
    public Tensor? ValueBias { get; init; }
}

/// <summary>
/// Where finished modules go at once, in running order. A stage that was finished survives the death of the process.
/// <para>Written to from a thread of its own. What was written, a module or a tensor, is released when the call returns.</para>
/// </summary>
public interface IQuantizedSink
{
    /// <summary>What was noted when this stage was finished, or null if it is still to be done. Asked before anything is written.</summary>
    byte[]? FinishedNote(string stage);

    void Write(QuantizedModule module);

    void Write(KeyValueScales scales);

    /// <summary>A plain tensor the run changed, like a norm that factors were folded into; of the shape and type it had.</summary>
    void Write(string tensor, Tensor value);

    /// <summary>A module of a finished stage, as the runtime would hold it; null when its stage is still to be done.</summary>
    PackedWeight? Read(PlannedModule module);

    /// <summary>A plain tensor of a finished stage, as it was written; null when its stage is still to be done.</summary>
    Tensor? Read(string tensor);

    /// <summary>Makes everything written durable and marks the stage as done.</summary>
    void Finish(string stage, ReadOnlySpan<byte> note);
}
