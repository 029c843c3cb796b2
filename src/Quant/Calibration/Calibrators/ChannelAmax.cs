using Nibble.Quant.Formats;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>The largest magnitude of every input channel, and so of the tensor. Merges exactly.</summary>
/// <param name="name">The module, for errors.</param>
/// <param name="width">Input channels.</param>
public sealed class ChannelAmax(string name, int width) : IStatistic<ChannelAmax>
{
    readonly float[] amax = new float[width];

    public int Width => width;

    /// <summary>[in].</summary>
    public ReadOnlySpan<float> PerChannel => amax;

    /// <summary>Over all channels.</summary>
    public float Largest => Amax.Of(amax);

    /// <summary>Takes in one batch.</summary>
    /// <param name="x">[…, in] F32.</param>
    /// <exception cref="QuantizationException">Another width, a NaN or an infinity.</exception>
    public void Observe(Tensor x)
    {
        StatisticTensors.CheckActivations(name, x, width);
        var magnitudes = new float[width];
        for (var row = 0; row < x.Rows; row++)
        {
            TensorPrimitives.Abs(x.Row(row), magnitudes);
            TensorPrimitives.Max(amax, magnitudes, amax);
        }
    }

    public void Merge(ChannelAmax other)
    {
        StatisticTensors.CheckSame(name, "channels", width, other.Width);
        TensorPrimitives.Max(amax, other.amax, amax);
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() =>
        new Dictionary<string, Tensor> { ["amax"] = StatisticTensors.Of<float>(amax, DType.F32, width) };

    public static ChannelAmax FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var values = tensors.Magnitudes(name, "amax");
        var result = new ChannelAmax(name, values.Length);
        values.CopyTo(result.amax, 0);
        return result;
    }
}
