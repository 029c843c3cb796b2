using Nibble.Tensors;

namespace Nibble.Quant.Calibration.Calibrators;

/// <summary>
/// What an affine cache format needs of keys or values, x ≈ Q(x - b) + b: per head and channel the bias b, the mean over batches of
/// the mean over tokens, and the largest |x - b|.
/// <para>As in ModelOpt 0.47 every batch is centred on the mean of the batches so far, itself included, so the maximum depends on their
/// order; that of merged parts is the larger one. Means merge up to the rounding of sums.</para>
/// </summary>
/// <param name="name">The attention module, for errors.</param>
/// <param name="width">Heads · head width.</param>
public sealed class CenteredCache(string name, int width) : IStatistic<CenteredCache>
{
    readonly double[] means = new double[width];
    OpenBatch? open;
    long batches;
    float amax;

    public int Width => width;

    /// <summary>Batches with at least one token.</summary>
    public long Batches
    {
        get
        {
            Close();
            return batches;
        }
    }

    /// <summary>max over batches of |x - b|, b as it was after that batch; 0 where nothing was seen.</summary>
    public float Amax
    {
        get
        {
            Close();
            return amax;
        }
    }

    /// <summary>b, [heads · d].</summary>
    public float[] Bias()
    {
        Close();
        return [.. means.Select(sum => (float)(sum / Math.Max(1, batches)))];
    }

    /// <summary>Takes in one call.</summary>
    /// <param name="x">[T, heads · d] F32.</param>
    /// <param name="batch">Of which batch they are; those of one follow each other.</param>
    /// <exception cref="QuantizationException">Another width, a NaN or an infinity.</exception>
    public void Observe(Tensor x, int batch)
    {
        StatisticTensors.CheckActivations(name, x, width);
        if (x.Rows == 0)
            return;
        if (open?.Number != batch)
            Close();
        open ??= new OpenBatch(batch, width);
        for (var row = 0; row < x.Rows; row++)
            open.Add(x.Row(row));
        GC.KeepAlive(x);
    }

    public void Merge(CenteredCache other)
    {
        StatisticTensors.CheckSame(name, "channels", width, other.means.Length);
        Close();
        other.Close();
        TensorPrimitives.Add(means, other.means, means);
        batches += other.batches;
        amax = Math.Max(amax, other.amax);
    }

    public IReadOnlyDictionary<string, Tensor> ToTensors()
    {
        Close();
        return new Dictionary<string, Tensor>
        {
            ["mean_sum"] = StatisticTensors.Of<double>(means, DType.F64, width),
            ["running_amax"] = StatisticTensors.Of<float>([amax], DType.F32, 1),
            ["calls"] = StatisticTensors.Of<long>([batches], DType.I64, 1),
        };
    }

    public static CenteredCache FromTensors(string name, IReadOnlyDictionary<string, Tensor> tensors)
    {
        var means = tensors.Sums<double>(name, "mean_sum", DType.F64, 1);
        var running = tensors.Magnitudes(name, "running_amax");
        StatisticTensors.CheckSame(name, "running maxima", 1, running.Length);
        var result = new CenteredCache(name, means.Length) { batches = tensors.Count(name, "calls"), amax = running[0] };
        means.CopyTo(result.means, 0);
        return result;
    }

    void Close()
    {
        if (open is not { } batch)
            return;
        open = null;
        batch.AddMeans(means);
        batches++;
        amax = Math.Max(amax, batch.Largest(Bias()));
    }

    /// <summary>
    /// A batch that may go on. Channels' extremes give the largest |x - b| of all its tokens whatever b becomes, since rounding a
    /// difference keeps the order.
    /// </summary>
    sealed class OpenBatch(int number, int width)
    {
        readonly double[] sums = new double[width], wide = new double[width];
        readonly float[] smallest = [.. Enumerable.Repeat(float.MaxValue, width)], largest = [.. Enumerable.Repeat(float.MinValue, width)];
        long rows;

        public int Number => number;

        public void Add(ReadOnlySpan<float> token)
        {
            TensorPrimitives.ConvertChecked<float, double>(token, wide);
            TensorPrimitives.Add(sums, wide, sums);
            TensorPrimitives.Min(smallest, token, smallest);
            TensorPrimitives.Max(largest, token, largest);
            rows++;
        }

        public void AddMeans(Span<double> means) => TensorPrimitives.MultiplyAdd(sums, 1.0 / rows, means, means);

        public float Largest(ReadOnlySpan<float> bias)
        {
            var amax = 0f;
            for (var c = 0; c < bias.Length; c++)
                amax = Math.Max(amax, Math.Max(largest[c] - bias[c], bias[c] - smallest[c]));
            return amax;
        }
    }
}
