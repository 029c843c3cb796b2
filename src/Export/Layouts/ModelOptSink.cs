using Nibble.Quant;
using Nibble.Quant.Planning;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>Puts finished modules into a checkpoint in ModelOpt's layout as they come.</summary>
public sealed class ModelOptSink(CheckpointWriter writer) : IQuantizedSink
{
    const string Prefix = "stage:";

    /// <summary>All tensors of the checkpoint a plan leads to, in the order of the source.</summary>
    public static IReadOnlyList<TensorSpec> Declare(Plan plan, ITensorSource source)
    {
        var modules = plan.Quantized.ToDictionary(module => module.Weight.Name);
        var tensors = source.Tensors.SelectMany(tensor => modules.TryGetValue(tensor.Name, out var module)
            ? ModelOptLayout.Specs(module.Name, module.Scheme!, module.Rows, module.Columns) : [tensor]);
        return [.. tensors, .. plan.Attentions.SelectMany(ModelOptLayout.KeyValueSpecs)];
    }

    public byte[]? FinishedNote(string stage) => writer.Notes.TryGetValue(Prefix + stage, out var note) ? note.ToArray() : null;

    public void Write(QuantizedModule module) =>
        WriteAll(ModelOptLayout.Tensors(module.Name, module.Scheme, module.Weight, module.InputScale ?? 1));

    public void Write(KeyValueScales scales) =>
        WriteAll(ModelOptLayout.KeyValueTensors(scales.Attention, scales.KeyScale, scales.ValueScale));

    public void Finish(string stage, ReadOnlySpan<byte> note)
    {
        writer.Note(Prefix + stage, note);
        writer.Checkpoint();
    }

    void WriteAll(IReadOnlyList<(string Name, Tensor Tensor)> tensors)
    {
        foreach (var (name, tensor) in tensors)
            writer.Write(name, tensor);
    }
}
