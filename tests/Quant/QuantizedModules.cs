using Nibble.Quant;
using Nibble.Quant.Formats;
using Nibble.Quant.Planning;
using Nibble.Quant.Runtime;
using Nibble.Tensors;

namespace Nibble.Tests.Quant;

/// <summary>Keeps copies of what a quantizer makes; its own tensors are released when <see cref="Write(QuantizedModule)"/> returns.</summary>
sealed class QuantizedModules : IQuantizedSink
{
    public Dictionary<string, QuantizedModule> Found { get; } = [];

    public byte[]? FinishedNote(string stage) => null;

    public void Write(QuantizedModule module)
    {
        var weight = module.Weight;
        Found.Add(module.Name, module with
        {
            Weight = new QuantizedWeight(
                weight.Format, weight.Rows, weight.Columns, weight.Codes.Clone(), weight.Scales?.Clone(), weight.TensorScale),
        });
    }

    public void Write(KeyValueScales scales) => throw new NotSupportedException("no cache format was asked for");

    public void Write(string tensor, Tensor value) => throw new NotSupportedException("no tensor was to be changed");

    public PackedWeight? Read(PlannedModule module) => null;

    public Tensor? Read(string tensor) => null;

    public void Finish(string stage, ReadOnlySpan<byte> note)
    {
    }
}
