using Nibble.Quant.Formats;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Runtime;

/// <summary>Keys and values as a quantized cache would give them back.</summary>
/// <param name="keyScale">The stored <c>k_scale</c>.</param>
/// <param name="valueScale">The stored <c>v_scale</c>.</param>
/// <exception cref="QuantizationException">A scale is not a positive finite number.</exception>
public sealed class QuantizedKeyValues(KeyValueFormat format, float keyScale, float valueScale) : IKeyValueFilter
{
    /// <param name="scales">Those of one attention module, with its biases.</param>
    public static QuantizedKeyValues Of(KeyValueScales scales, KeyValueFormat format) =>
        new(format, scales.KeyScale, scales.ValueScale) { KeyBias = scales.KeyBias, ValueBias = scales.ValueBias };

    readonly float keyScale = Checked(keyScale, "k_scale");
    readonly float valueScale = Checked(valueScale, "v_scale");

    public KeyValueFormat Format => format;

    /// <summary>[1, heads, 1, d] F32; null for none.</summary>
    public Tensor? KeyBias { get; init; }

    /// <summary>[1, heads, 1, d] F32; null for none.</summary>
    public Tensor? ValueBias { get; init; }

    /// <summary>
    /// A rotation is undone after the rounding, because queries are not rotated here: q·(H·Q(H·k)) is what (H·q)·Q(H·k) would be, H
    /// being symmetric and its own inverse.
    /// </summary>
    /// <exception cref="QuantizationException">Biases are of other heads than these.</exception>
    public void Apply(Tensor keys, Tensor values)
    {
        if (format.Rotates)
            Hadamard.Apply(keys);
        Round(keys, keyScale, KeyBias, "keys");
        if (format.Rotates)
            Hadamard.Apply(keys);
        Round(values, valueScale, ValueBias, "values");
    }

    void Round(Tensor heads, float scale, Tensor? bias, string what)
    {
        var used = format.SubtractsBias ? bias : null;
        if (used is not null && (heads.Rows % used.Rows != 0 || used.Columns != heads.Columns))
            throw new QuantizationException($"{what} {heads} have other heads than their bias {used}");
        for (var row = 0; row < heads.Rows; row++)
        {
            var head = heads.Row(row);
            if (used is null)
            {
                format.Round(head, scale);
                continue;
            }
            var shift = used.Row(row % used.Rows);
            TensorPrimitives.Subtract(head, shift, head);
            format.Round(head, scale);
            TensorPrimitives.Add(head, shift, head);
        }
    }

    static float Checked(float scale, string name) =>
        scale > 0 && float.IsFinite(scale) ? scale : throw new QuantizationException($"{name} cannot be {scale}");
}
