using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// What AWQ must know of a layer's inputs, gathered in one pass: mean |x| and the largest |x| per channel, and second moments,
/// which give the output error of any rounding without the inputs: mean over tokens of |x·Dᵀ|² = tr(D·H·Dᵀ). Every call (batch)
/// counts alike, whatever its tokens. Merges up to the rounding of sums.
/// </summary>
/// <param name="name">The module, for errors.</param>
/// <param name="width">Input channels.</param>
public sealed class AwqInputs(string name, int width) : IStatistic<AwqInputs>
{
    readonly double[] magnitudes = new double[width];
    ChannelAmax largest = new(name, width);
    Tensor? moments;

    public string Name => name;

    public int Width => width;

    /// <summary>Batches with at least one token; where only a part of one was taken in, that part.</summary>
    public double Calls { get; private set; }

    /// <summary>[in], the largest magnitudes.</summary>
    public ReadOnlySpan<float> Amax => largest.PerChannel;

    /// <summary>Σ over calls of xᵀ·x / tokens, [in, in].</summary>
    public Tensor Moments => moments ??= Tensor.Zeros(width, width);

    /// <summary>Mean over calls of the mean |x| over tokens, [in].</summary>
    public float[] MeanMagnitude() => [.. magnitudes.Select(sum => (float)(sum / (Calls > 0 ? Calls : 1)))];

    /// <summary>Takes in one batch.</summary>
    /// <param name="x">[…, in] F32.</param>
    /// <param name="share">What part of a call's tokens these are.</param>
    /// <exception cref="QuantizationException">Another width, a NaN or an infinity.</exception>
    public void Observe(Tensor x, double share = 1)
    {
        largest.Observe(x);
        if (x.Rows == 0)
            return;
        var (sums, wide) = (new double[width], new double[width]);
        using var scaled = Tensor.Empty(x.Rows, width);
        var factor = MathF.Sqrt((float)share) / MathF.Sqrt(x.Rows);
        for (var row = 0; row < x.Rows; row++)
        {
            TensorPrimitives.Multiply(x.Row(row), factor, scaled.Row(row));
            TensorPrimitives.ConvertChecked<float, double>(x.Row(row), wide);
            TensorPrimitives.Abs(wide, wide);
            TensorPrimitives.Add(sums, wide, sums);
        }
        TensorPrimitives.MultiplyAdd(sums, share / x.Rows, magnitudes, magnitudes);
        MatMul.Gram(scaled, Moments);
        Calls += share;
    }

    public void Merge(AwqInputs other)
    {
        largest.Merge(other.largest);
        TensorPrimitives.Add(magnitudes, other.magnitudes, magnitudes);
        for (var row = 0; row < width; row++)
            TensorPrimitives.Add(Moments.Row(row), other.Moments.Row(row), Moments.Row(row));
        Calls += other.Calls;
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() => new Dictionary<string, Tensor>
    {
        ["amax"] = largest.ToTensors()["amax"],
        ["mean_magnitude_sum"] = StatisticTensors.Of<double>(magnitudes, DType.F64, width),
        ["moments"] = Moments,
        ["calls"] = StatisticTensors.Of<double>([Calls], DType.F64, 1),
    };

    public static AwqInputs FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var largest = ChannelAmax.FromTensors(name, tensors);
        var magnitudes = tensors.Sums<double>(name, "mean_magnitude_sum", DType.F64, 1);
        var moments = tensors.Get(name, "moments", DType.F32, 2);
        tensors.Sums<float>(name, "moments", DType.F32, 2);
        StatisticTensors.CheckSame(name, "channels", largest.Width, magnitudes.Length);
        if (moments.Shape != new Shape(largest.Width, largest.Width))
            throw new QuantizationException($"{name}: moments must be [{largest.Width}, {largest.Width}], found {moments}");
        if (tensors.Sums<double>(name, "calls", DType.F64, 1) is not [var calls and >= 0])
            throw new QuantizationException($"{name}: calls must be one number of at least 0, found {tensors["calls"]}");
        var result = new AwqInputs(name, largest.Width)
        {
            moments = moments.Clone(),
            Calls = calls,
            largest = largest,
        };
        magnitudes.CopyTo(result.magnitudes, 0);
        return result;
    }

    /// <summary>
    /// Σ over calls of mean (x·Dᵀ)² over tokens and outputs: Σ D∘(D·H) / out.
    /// </summary>
    /// <param name="difference">D [out, in].</param>
    internal double OutputError(Tensor difference)
    {
        using var product = Tensor.Empty(difference.Shape);
        MatMul.Multiply(difference, Moments, product);
        var sum = 0.0;
        for (var row = 0; row < difference.Rows; row++)
            sum += TensorPrimitives.Dot<float>(difference.Row(row), product.Row(row));
        return sum / difference.Rows;
    }
}
