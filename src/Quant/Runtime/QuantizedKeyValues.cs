using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Runtime;

/// <summary>Keys and values as a quantized cache would give them back.</summary>
/// <param name="keyScale">The stored <c>k_scale</c>.</param>
/// <param name="valueScale">The stored <c>v_scale</c>.</param>
public sealed class QuantizedKeyValues(KeyValueFormat format, float keyScale, float valueScale) : IKeyValueFilter
{
    readonly float keyScale = Checked(keyScale, "k_scale");
    readonly float valueScale = Checked(valueScale, "v_scale");

    public KeyValueFormat Format => format;

    public void Apply(Tensor keys, Tensor values)
    {
        for (var row = 0; row < keys.Rows; row++)
            format.Round(keys.Row(row), keyScale);
        for (var row = 0; row < values.Rows; row++)
            format.Round(values.Row(row), valueScale);
    }

    static float Checked(float scale, string name) =>
        scale > 0 && float.IsFinite(scale) ? scale : throw new QuantizationException($"{name} cannot be {scale}");
}
