using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// What an affine cache format needs of keys or values, x ≈ Q(x - b) + b: per head and channel the bias b, the mean over calls of
/// the mean over tokens, and the largest |x - b|, which follows from each channel's extremes whatever b becomes.
/// <para>ModelOpt subtracts the bias it has so far, the current call included; that maximum depends on the order of the calls,
/// and of merged parts only the larger is kept. All else merges up to the rounding of sums.</para>
/// </summary>
/// <param name="name">The attention module, for errors.</param>
/// <param name="width">Heads · head width.</param>
public sealed class CenteredCache(string name, int width) : IStatistic<CenteredCache>
{
    readonly double[] means = new double[width];
    readonly float[] smallest = [.. Enumerable.Repeat(float.MaxValue, width)];
    readonly float[] largest = [.. Enumerable.Repeat(float.MinValue, width)];

    public int Width => width;

    /// <summary>Calls with at least one token.</summary>
    public long Calls { get; private set; }

    /// <summary>max over calls of |x - b|, b as it was after that call: what ModelOpt makes its scale of.</summary>
    public float RunningAmax { get; private set; }

    /// <summary>b, [heads · d].</summary>
    public float[] Bias() => [.. means.Select(sum => (float)(sum / Math.Max(1, Calls)))];

    /// <summary>max |x - b|; 0 where nothing was seen.</summary>
    public float Amax()
    {
        var (bias, amax) = (Bias(), 0f);
        if (Calls > 0)
            for (var c = 0; c < width; c++)
                amax = Math.Max(amax, Math.Max(largest[c] - bias[c], bias[c] - smallest[c]));
        return amax;
    }

    /// <summary>Takes in one call.</summary>
    /// <param name="x">[T, heads · d] F32.</param>
    /// <exception cref="QuantizationException">Another width, a NaN or an infinity.</exception>
    public void Observe(Tensor x)
    {
        StatisticTensors.CheckActivations(name, x, width);
        if (x.Rows == 0)
            return;
        var (sums, wide) = (new double[width], new double[width]);
        for (var row = 0; row < x.Rows; row++)
        {
            ReadOnlySpan<float> values = x.Row(row);
            TensorPrimitives.ConvertChecked<float, double>(values, wide);
            TensorPrimitives.Add(sums, wide, sums);
            TensorPrimitives.Min(smallest, values, smallest);
            TensorPrimitives.Max(largest, values, largest);
        }
        TensorPrimitives.MultiplyAdd(sums, 1.0 / x.Rows, means, means);
        Calls++;
        var bias = Bias();
        var centred = new float[width];
        for (var row = 0; row < x.Rows; row++)
        {
            TensorPrimitives.Subtract(x.Row(row), bias, centred);
            RunningAmax = Math.Max(RunningAmax, Formats.Amax.Of(centred));
        }
    }

    public void Merge(CenteredCache other)
    {
        StatisticTensors.CheckSame(name, "channels", width, other.means.Length);
        TensorPrimitives.Add(means, other.means, means);
        TensorPrimitives.Min(smallest, other.smallest, smallest);
        TensorPrimitives.Max(largest, other.largest, largest);
        Calls += other.Calls;
        RunningAmax = Math.Max(RunningAmax, other.RunningAmax);
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() => new Dictionary<string, Tensor>
    {
        ["mean_sum"] = StatisticTensors.Of<double>(means, DType.F64, width),
        ["smallest"] = StatisticTensors.Of<float>(smallest, DType.F32, width),
        ["largest"] = StatisticTensors.Of<float>(largest, DType.F32, width),
        ["running_amax"] = StatisticTensors.Of<float>([RunningAmax], DType.F32, 1),
        ["calls"] = StatisticTensors.Of<long>([Calls], DType.I64, 1),
    };

    public static CenteredCache FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var means = tensors.Sums<double>(name, "mean_sum", DType.F64, 1);
        var smallest = tensors.Sums<float>(name, "smallest", DType.F32, 1);
        var largest = tensors.Sums<float>(name, "largest", DType.F32, 1);
        StatisticTensors.CheckSame(name, "channels", means.Length, smallest.Length);
        StatisticTensors.CheckSame(name, "channels", means.Length, largest.Length);
        var running = tensors.Magnitudes(name, "running_amax");
        StatisticTensors.CheckSame(name, "running maxima", 1, running.Length);
        var result = new CenteredCache(name, means.Length) { Calls = tensors.Count(name, "calls"), RunningAmax = running[0] };
        means.CopyTo(result.means, 0);
        smallest.CopyTo(result.smallest, 0);
        largest.CopyTo(result.largest, 0);
        return result;
    }
}
