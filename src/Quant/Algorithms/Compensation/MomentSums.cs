using Nibble.Quant.Calibration;
using Nibble.Tensors;
using Nibble.Tensors.Ops;

namespace Nibble.Quant.Algorithms.Compensation;

/// <summary>
/// Sums the moments some options need, row by row. Where modalities only have to count alike, their rows are weighted on the way in and
/// one matrix is enough for both.
/// </summary>
/// <param name="width">Inputs of the modules.</param>
/// <param name="textTokens">How many rows will come; only their ratio counts.</param>
public sealed class MomentSums(int width, CompensationOptions options, long textTokens, long visionTokens) : IDisposable
{
    /// <summary>Rows that are multiplied together.</summary>
    const int Rows = 512;

    readonly Dictionary<(Modality? Modality, int Fold), Part> parts = [];

    /// <summary>What is to be asked of the sums: balanced already, if both modalities are there.</summary>
    public CompensationOptions Options { get; } = Balances(options, textTokens, visionTokens)
        ? options with { Weighting = HessianWeighting.Joint } : options;

    /// <summary>Bytes of the sums at most.</summary>
    public static long Bytes(long width, CompensationOptions options) => width * width * sizeof(float)
        * (NeedsCross(options) ? 2 : 1) * (NeedsFolds(options) ? 2 : 1) * (NeedsModalities(options) ? 2 : 1);

    /// <summary>Takes in rows of one modality each.</summary>
    /// <param name="x">[rows, in]: the inputs in the model that is quantized so far.</param>
    /// <param name="original">[rows, in]: the same in the original one; null where nothing is to be made up for.</param>
    /// <param name="modality">Of each row.</param>
    /// <param name="sample">Decides about the fold.</param>
    public void Add(Tensor x, Tensor? original, Func<int, Modality> modality, int sample)
    {
        var fold = NeedsFolds(options) ? sample % 2 : 0;
        for (var row = 0; row < x.Rows; row++)
        {
            var kind = modality(row);
            var weight = !Balances(options, textTokens, visionTokens) ? 1
                : (textTokens + visionTokens) * (kind == Modality.Text
                    ? options.TextShare / textTokens : (1 - options.TextShare) / visionTokens);
            Of(NeedsModalities(options) ? kind : null, fold)
                .Add(x.Row(row), original is null ? [] : original.Row(row), MathF.Sqrt((float)weight));
        }
        GC.KeepAlive(x);
        GC.KeepAlive(original);
    }

    /// <summary>The moments; the sums go with them.</summary>
    public InputMoments Finish()
    {
        var tokens = parts.Values.Sum(part => part.Tokens);
        foreach (var part in parts.Values)
            part.Finish(tokens);
        if (parts.Count == 0)
            Of(null, 0).Finish(1); // no token came
        var moments = new InputMoments([.. parts.OrderBy(part => part.Key.Fold).ThenBy(part => part.Key.Modality)
            .Select(part => new MomentPart(part.Key.Modality, part.Key.Fold, part.Value.H, part.Value.D, part.Value.Tokens))]);
        parts.Clear();
        return moments;
    }

    public void Dispose()
    {
        foreach (var part in parts.Values)
            part.Dispose();
    }

    /// <summary>Whether the inputs of the original model are needed.</summary>
    public static bool NeedsCross(CompensationOptions options) => options is { Compensate: true, Shift: not Shift.None };

    static bool NeedsFolds(CompensationOptions options) => NeedsCross(options) && options.Alpha is null;

    static bool NeedsModalities(CompensationOptions options) => options.Search == ScaleSearch.Modality;

    static bool Balances(CompensationOptions options, long textTokens, long visionTokens) =>
        options.Weighting == HessianWeighting.Balanced && !NeedsModalities(options) && textTokens > 0 && visionTokens > 0;

    Part Of(Modality? modality, int fold) => parts.TryGetValue((modality, fold), out var part) ? part
        : parts[(modality, fold)] = new Part(width, NeedsCross(options));

    /// <summary>Sums over some of the rows.</summary>
    sealed class Part(int width, bool cross) : IDisposable
    {
        readonly Tensor x = Tensor.Empty(Rows, width);
        readonly Tensor? difference = cross ? Tensor.Empty(Rows, width) : null;
        int filled;

        public Tensor H { get; } = Tensor.Zeros(width, width);

        public Tensor? D { get; } = cross ? Tensor.Zeros(width, width) : null;

        public long Tokens { get; private set; }

        /// <param name="original">Empty where it is the same as <paramref name="row"/>.</param>
        public void Add(ReadOnlySpan<float> row, ReadOnlySpan<float> original, float factor)
        {
            TensorPrimitives.Multiply(row, factor, x.Row(filled));
            if (difference is not null && original.IsEmpty)
                difference.Row(filled).Clear();
            else if (difference is not null)
            {
                TensorPrimitives.Subtract(original, row, difference.Row(filled));
                TensorPrimitives.Multiply(difference.Row(filled), factor, difference.Row(filled));
            }
            Tokens++;
            if (++filled == Rows)
                Flush();
        }

        public void Finish(long tokens)
        {
            Flush();
            foreach (var sums in (Tensor?[])[H, D])
                for (var row = 0; row < sums?.Rows; row++)
                    TensorPrimitives.Divide(sums.Row(row), tokens, sums.Row(row));
            x.Dispose();
            difference?.Dispose();
        }

        public void Dispose()
        {
            foreach (var tensor in (Tensor?[])[x, difference, H, D])
                tensor?.Dispose();
        }

        void Flush()
        {
            if (filled == 0)
                return;
            var rows = x.Slice(0, filled);
            MatMul.Gram(rows, H);
            if (difference is not null)
                MatMul.CrossGram(difference.Slice(0, filled), rows, D!);
            filled = 0;
        }
    }
}
