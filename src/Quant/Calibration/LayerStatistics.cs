using Nibble.Quant.Calibration.Calibrators;
using Nibble.Tensors;

namespace Nibble.Quant.Calibration;

/// <summary>What calibration learns about the inputs of one linear module, per modality.</summary>
/// <param name="name">The module, for errors.</param>
/// <param name="width">Inputs of the module.</param>
/// <param name="keptRows">How many input rows of each modality are kept to measure the output error with.</param>
/// <param name="needs">What else; null: nothing.</param>
public sealed class LayerStatistics(string name, int width, int keptRows, StatisticNeeds? needs = null) : IDisposable
{
    readonly Kept[] kept = [new(width, keptRows), new(width, keptRows)];
    readonly long[] tokens = new long[2];
    readonly float[] amax = new float[2];

    public string Name => name;

    /// <summary>Largest magnitudes by channel, where they were asked for.</summary>
    public ChannelAmax? Channels { get; } = needs is { Channels: true } ? new ChannelAmax(name, width) : null;

    /// <summary>Mean magnitudes and second moments, where they were asked for.</summary>
    public AwqInputs? Awq { get; } = needs is { Awq: true } ? new AwqInputs(name, width) : null;

    /// <summary>Second moments inside blocks, where they were asked for.</summary>
    public BlockMoments? Blocks { get; } = needs is { MomentBlock: > 0 }
        ? new BlockMoments(name, width, needs.MomentBlock, needs.SampledTokens) : null;

    /// <summary>The largest magnitude of any input.</summary>
    public float Amax => Math.Max(amax[0], amax[1]);

    public float AmaxOf(Modality modality) => amax[(int)modality];

    /// <summary>Rows seen.</summary>
    public long Tokens(Modality modality) => tokens[(int)modality];

    /// <summary>A spread of the rows seen, [rows, in]; null when there were none.</summary>
    public Tensor? Rows(Modality modality) => kept[(int)modality].Rows();

    /// <summary>Takes in the rows of one call.</summary>
    /// <param name="x">[T, in].</param>
    /// <param name="modality">Of each row.</param>
    /// <exception cref="QuantizationException">A value is NaN or infinite.</exception>
    public void Observe(Tensor x, Func<int, Modality> modality)
    {
        for (var row = 0; row < x.Rows; row++)
        {
            var values = x.Row(row);
            var largest = MathF.Abs(TensorPrimitives.MaxMagnitude<float>(values));
            if (!float.IsFinite(largest))
                throw new QuantizationException($"{name}: an input is {largest} (token {row}); finite activations expected.");
            var kind = (int)modality(row);
            amax[kind] = Math.Max(amax[kind], largest);
            kept[kind].Offer(values, tokens[kind]++);
        }
        Channels?.Observe(x);
        Awq?.Observe(x);
        Blocks?.Observe(x);
    }

    /// <summary>Releases the kept rows and the moments.</summary>
    public void Dispose()
    {
        foreach (var rows in kept)
            rows.Dispose();
        Awq?.Moments.Dispose();
    }

    /// <summary>Rows at a stride that doubles whenever the buffer is full: an even spread of however many come.</summary>
    sealed class Kept(int width, int capacity) : IDisposable
    {
        Tensor? buffer;
        int count;
        long stride = 1;

        public void Offer(ReadOnlySpan<float> row, long index)
        {
            if (capacity == 0 || index % stride != 0)
                return;
            if (count == capacity)
            {
                Thin();
                if (index % stride != 0)
                    return;
            }
            buffer ??= Tensor.Empty(capacity, width);
            row.CopyTo(buffer.Row(count++));
        }

        public Tensor? Rows() => count == 0 ? null : buffer!.Slice(0, count);

        public void Dispose() => buffer?.Dispose();

        void Thin()
        {
            for (var i = 0; 2 * i < count; i++)
                buffer!.Row(2 * i).CopyTo(buffer.Row(i));
            count = (count + 1) / 2;
            stride *= 2;
        }
    }
}

/// <summary>The largest keys and values one attention module put into its cache.</summary>
public sealed class KeyValueStatistics(string name) : IKeyValueFilter
{
    public float KeyAmax { get; private set; }

    public float ValueAmax { get; private set; }

    public void Apply(Tensor keys, Tensor values)
    {
        KeyAmax = Math.Max(KeyAmax, Largest(keys, "key"));
        ValueAmax = Math.Max(ValueAmax, Largest(values, "value"));
    }

    float Largest(Tensor tensor, string what)
    {
        if (tensor.Elements == 0)
            return 0;
        var largest = MathF.Abs(TensorPrimitives.MaxMagnitude<float>(tensor.Span<float>()));
        return float.IsFinite(largest) ? largest
            : throw new QuantizationException($"{name}: a {what} is {largest}; finite activations expected.");
    }
}
