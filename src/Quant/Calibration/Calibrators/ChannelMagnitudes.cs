using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>Mean |x| and the largest |x| of every channel. Every call (batch) counts alike, whatever its tokens.</summary>
/// <param name="name">The module, for errors.</param>
/// <param name="width">Input channels.</param>
public sealed class ChannelMagnitudes(string name, int width) : IStatistic<ChannelMagnitudes>
{
    readonly double[] sums = new double[width];
    ChannelAmax largest = new(name, width);

    public int Width => width;

    /// <summary>Batches with at least one token; where only a part of one was taken in, that part.</summary>
    public double Calls { get; private set; }

    /// <summary>[in], the largest magnitudes.</summary>
    public ReadOnlySpan<float> Amax => largest.PerChannel;

    /// <summary>Mean over calls of the mean |x| over tokens, [in].</summary>
    public float[] Mean() => [.. sums.Select(sum => (float)(sum / (Calls > 0 ? Calls : 1)))];

    /// <summary>Takes in one batch.</summary>
    /// <param name="x">[…, in] F32.</param>
    /// <param name="share">What part of a call's tokens these are.</param>
    /// <exception cref="QuantizationException">Another width, a NaN or an infinity.</exception>
    public void Observe(Tensor x, double share = 1)
    {
        largest.Observe(x);
        if (x.Rows == 0)
            return;
        var (call, wide) = (new double[width], new double[width]);
        for (var row = 0; row < x.Rows; row++)
        {
            TensorPrimitives.ConvertChecked<float, double>(x.Row(row), wide);
            TensorPrimitives.Abs(wide, wide);
            TensorPrimitives.Add(call, wide, call);
        }
        TensorPrimitives.MultiplyAdd(call, share / x.Rows, sums, sums);
        Calls += share;
    }

    public void Merge(ChannelMagnitudes other)
    {
        largest.Merge(other.largest);
        TensorPrimitives.Add(sums, other.sums, sums);
        Calls += other.Calls;
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() => new Dictionary<string, Tensor>
    {
        ["amax"] = largest.ToTensors()["amax"],
        ["mean_magnitude_sum"] = StatisticTensors.Of<double>(sums, DType.F64, width),
        ["calls"] = StatisticTensors.Of<double>([Calls], DType.F64, 1),
    };

    public static ChannelMagnitudes FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var largest = ChannelAmax.FromTensors(name, tensors);
        var sums = tensors.Sums<double>(name, "mean_magnitude_sum", DType.F64, 1);
        StatisticTensors.CheckSame(name, "channels", largest.Width, sums.Length);
        if (tensors.Sums<double>(name, "calls", DType.F64, 1) is not [var calls and >= 0])
            throw new QuantizationException($"{name}: calls must be one number of at least 0, found {tensors["calls"]}");
        var result = new ChannelMagnitudes(name, largest.Width) { Calls = calls, largest = largest };
        sums.CopyTo(result.sums, 0);
        return result;
    }
}
