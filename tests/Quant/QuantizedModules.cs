using Nibble.Quant;

namespace Nibble.Tests.Quant;

/// <summary>Keeps in memory what a quantizer makes.</summary>
sealed class QuantizedModules : IQuantizedSink
{
    public Dictionary<string, QuantizedModule> Found { get; } = [];

    public byte[]? FinishedNote(string stage) => null;

    public void Write(QuantizedModule module) => Found.Add(module.Name, module);

    public void Write(KeyValueScales scales) => throw new NotSupportedException("no cache format was asked for");

    public void Finish(string stage, ReadOnlySpan<byte> note)
    {
    }
}
