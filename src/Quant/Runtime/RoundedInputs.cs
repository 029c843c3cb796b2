using Nibble.Models;
using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Runtime;

/// <summary>Modules whose inputs and caches are rounded as in a quantized model, and whose weights are not.</summary>
/// <param name="rounding">Format and scale of a module's inputs; null to leave them.</param>
/// <param name="caches">What is done to the keys and values of an attention module; null to leave them.</param>
sealed class RoundedInputs(
    IModuleSource inner, Func<string, (ActivationFormat Format, float Scale)?> rounding, Func<string, IKeyValueFilter?> caches) : IModuleSource
{
    public ILinearWeight Linear(string module) =>
        rounding(module) is { } how ? new Rounded(inner.Linear(module), how.Format, how.Scale) : inner.Linear(module);

    public IKeyValueFilter? KeyValues(string attention) => caches(attention) ?? inner.KeyValues(attention);

    sealed class Rounded(ILinearWeight weight, ActivationFormat format, float scale) : ILinearWeight
    {
        public int Rows => weight.Rows;

        public int Columns => weight.Columns;

        public long Bytes => weight.Bytes;

        public void Decode(int row, int column, Span<float> destination) => weight.Decode(row, column, destination);

        public void Multiply(Tensor x, Tensor y)
        {
            using var rounded = x.Clone();
            for (var row = 0; row < rounded.Rows; row++)
                format.Round(rounded.Row(row), scale);
            weight.Multiply(rounded, y);
        }
    }
}
