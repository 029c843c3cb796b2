using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// Σ x·xᵀ over tokens, in F32: what the compensating algorithms need of the inputs of a layer. Merges up to the rounding of sums.
/// </summary>
public sealed class SecondMoments : IStatistic<SecondMoments>, IDisposable
{
    readonly string name;

    /// <param name="name">The module, for errors.</param>
    /// <param name="width">Input channels.</param>
    public SecondMoments(string name, int width) : this(name, Tensor.Zeros(width, width))
    {
    }

    SecondMoments(string name, Tensor sums) => (this.name, Sums) = (name, sums);

    public int Width => Sums.Columns;

    /// <summary>Rows seen.</summary>
    public long Tokens { get; private set; }

    /// <summary>[in, in], symmetric; divided by <see cref="Tokens"/> it is the mean.</summary>
    public Tensor Sums { get; }

    /// <summary>Takes in one batch.</summary>
    /// <param name="x">[…, in] F32.</param>
    /// <exception cref="QuantizationException">Another width, a NaN or an infinity.</exception>
    public void Observe(Tensor x)
    {
        StatisticTensors.CheckActivations(name, x, Width);
        if (x.Rows > 0)
            MatMul.Gram(x.Reshape(x.Rows, Width), Sums);
        Tokens += x.Rows;
    }

    public void Merge(SecondMoments other)
    {
        StatisticTensors.CheckSame(name, "channels", Width, other.Width);
        for (var row = 0; row < Width; row++)
            TensorPrimitives.Add(Sums.Row(row), other.Sums.Row(row), Sums.Row(row));
        Tokens += other.Tokens;
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors() => new Dictionary<string, Tensor>
    {
        ["sums"] = Sums,
        ["tokens"] = StatisticTensors.Of<long>([Tokens], DType.I64, 1),
    };

    public static SecondMoments FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var sums = tensors.Get(name, "sums", DType.F32, 2);
        if (sums.Shape[0] != sums.Shape[1] || sums.Columns == 0)
            throw new QuantizationException($"{name}: sums must be [in, in], found {sums}");
        StatisticTensors.CheckActivations($"{name}: sums", sums, 0);
        return new SecondMoments(name, sums.Clone()) { Tokens = tensors.Count(name, "tokens") };
    }

    /// <summary>Releases the sums.</summary>
    public void Dispose() => Sums.Dispose();
}
