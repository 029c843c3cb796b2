using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// What AWQ must know of a layer's inputs: magnitudes by channel, and second moments, which give the output error of any rounding
/// without the inputs: mean over tokens of |x·Dᵀ|² = tr(D·H·Dᵀ). Every call (batch) counts alike, whatever its tokens. Merges up to the
/// rounding of sums.
/// </summary>
public sealed class AwqInputs : IStatistic<AwqInputs>
{
    readonly ChannelMagnitudes magnitudes;
    Tensor? moments;

    /// <param name="name">The module, for errors.</param>
    /// <param name="width">Input channels.</param>
    public AwqInputs(string name, int width)
        : this(name, new ChannelMagnitudes(name, width), null)
    {
    }

    AwqInputs(string name, ChannelMagnitudes magnitudes, Tensor? moments) =>
        (Name, this.magnitudes, this.moments) = (name, magnitudes, moments);

    public string Name { get; }

    public int Width => magnitudes.Width;

    /// <summary>Batches with at least one token; where only a part of one was taken in, that part.</summary>
    public double Calls => magnitudes.Calls;

    /// <summary>[in], the largest magnitudes.</summary>
    public ReadOnlySpan<float> Amax => magnitudes.Amax;

    /// <summary>Σ over calls of xᵀ·x / tokens, [in, in].</summary>
    public Tensor Moments => moments ??= Tensor.Zeros(Width, Width);

    /// <summary>Mean over calls of the mean |x| over tokens, [in].</summary>
    public float[] MeanMagnitude() => magnitudes.Mean();

    /// <summary>These moments, seen in another pass of the same samples than the magnitudes. They are still this one's to release.</summary>
    /// <exception cref="QuantizationException">They are of different widths.</exception>
    public AwqInputs With(ChannelMagnitudes others)
    {
        StatisticTensors.CheckSame(Name, "channels", Width, others.Width);
        return new AwqInputs(Name, others, Moments);
    }

    /// <summary>Takes in one batch.</summary>
    /// <param name="x">[…, in] F32.</param>
    /// <param name="share">What part of a call's tokens these are.</param>
    /// <exception cref="QuantizationException">Another width, a NaN or an infinity.</exception>
    public void Observe(Tensor x, double share = 1)
    {
        magnitudes.Observe(x, share);
        if (x.Rows == 0)
            return;
        using var scaled = Tensor.Empty(x.Rows, Width);
        var factor = MathF.Sqrt((float)share) / MathF.Sqrt(x.Rows);
        for (var row = 0; row < x.Rows; row++)
            TensorPrimitives.Multiply(x.Row(row), factor, scaled.Row(row));
        MatMul.Gram(scaled, Moments);
    }

    public void Merge(AwqInputs other)
    {
        magnitudes.Merge(other.magnitudes);
        for (var row = 0; row < Width; row++)
            TensorPrimitives.Add(Moments.Row(row), other.Moments.Row(row), Moments.Row(row));
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() =>
        new Dictionary<string, Tensor>(magnitudes.ToTensors()) { ["moments"] = Moments };

    public static AwqInputs FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var magnitudes = ChannelMagnitudes.FromTensors(name, tensors);
        var moments = tensors.Get(name, "moments", DType.F32, 2);
        tensors.Sums<float>(name, "moments", DType.F32, 2);
        if (moments.Shape != new Shape(magnitudes.Width, magnitudes.Width))
            throw new QuantizationException($"{name}: moments must be [{magnitudes.Width}, {magnitudes.Width}], found {moments}");
        return new AwqInputs(name, magnitudes, moments.Clone());
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
