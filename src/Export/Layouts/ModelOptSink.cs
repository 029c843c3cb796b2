using Nibble.Quant;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Export.Layouts;

/// <summary>Puts finished modules into a checkpoint in ModelOpt's layout as they come, and reads back those of a run before.</summary>
public sealed class ModelOptSink(CheckpointWriter writer) : IQuantizedSink
{
    const string Prefix = "stage:";

    /// <summary>All tensors of the checkpoint a plan leads to, in the order of the source.</summary>
    /// <param name="keyValueBias">[1, heads, 1, d] of keys and of values: only what a centred cache format needs.</param>
    public static IReadOnlyList<TensorSpec> Declare(Plan plan, ITensorSource source, Shape? keyValueBias = null)
    {
        var modules = plan.Quantized.ToDictionary(module => module.Weight.Name);
        var tensors = source.Tensors.SelectMany(tensor => modules.TryGetValue(tensor.Name, out var module)
            ? ModelOptLayout.Specs(module) : [tensor]);
        return [.. tensors,
            .. plan.Attentions.SelectMany(name => ModelOptLayout.KeyValueSpecs(name, plan.Recipe.KeyValues!, keyValueBias))];
    }

    public byte[]? FinishedNote(string stage) => writer.Notes.TryGetValue(Prefix + stage, out var note) ? note.ToArray() : null;

    public void Write(QuantizedModule module) => WriteAll(ModelOptLayout.Tensors(module));

    public void Write(KeyValueScales scales) => WriteAll(ModelOptLayout.KeyValueTensors(scales));

    public void Write(string tensor, Tensor value) => writer.Write(tensor, value);

    public PackedWeight? Read(PlannedModule module)
    {
        var specs = ModelOptLayout.Specs(module);
        var tensors = new Dictionary<string, Tensor>();
        foreach (var spec in specs)
        {
            if (writer.Load(spec.Name) is not { } tensor)
                return null;
            tensors.Add(spec.Name, tensor);
        }
        return StoredLinear.Of(module.Name, ModelOptFormat.Of(module.Scheme!)!, module.Rows, module.Columns,
            ModelOptExtras.Of(module), spec => tensors[spec.Name], writer.Folder).Pack();
    }

    public Tensor? Read(string tensor) => writer.Load(tensor);

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
